//! Model directories, read and written.

mod reading;
mod saving;
mod support;
