//! Text to token ids: batches, truncation, length order.
