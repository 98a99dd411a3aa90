//! libtorch: CUDA on demand, and the operations that tch lacks.
