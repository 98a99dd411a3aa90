//! Model directories, read and written.

mod reading;
mod rotary;
mod saving;
mod support;
