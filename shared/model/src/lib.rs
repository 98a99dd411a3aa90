//! Model directories in the sentence-transformers layout: configuration, weight names, atomic save.
