//! The filters under engines that divide work: GNU parallel, job arrays, streaming, Spark. What comes out is compared,
//! byte by byte, with what one process gives.

mod arrays;
mod corpus;
mod page;
mod parallel;
mod spark;
mod streaming;
