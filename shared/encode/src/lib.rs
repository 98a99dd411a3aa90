//! Texts to vectors: tokenise, batch by token budget, run, pool.
