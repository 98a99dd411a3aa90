//! Safetensors files: embeddings, training shards, weights.
