//! Ranking metrics and significance tests: pure functions over slices.
