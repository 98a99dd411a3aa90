//! Exact top-k of query vectors against corpus vectors, streamed.
