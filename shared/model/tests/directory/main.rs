//! Model directories, read and written.

mod foreign;
mod reading;
mod rotary;
mod saving;
mod support;
mod unknown;
