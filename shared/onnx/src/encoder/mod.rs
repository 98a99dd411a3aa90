//! The forward pass of the encoders.

mod attention;
mod bert;
mod int8;
mod linear;

pub(crate) use bert::append;
pub(crate) use int8::Matrix;
