//! Dividing the input among machines.

use std::fmt;
use std::str::FromStr;

/// `I/N`: the I-th of every N records, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InputShard {
    index: u64,
    count: u64,
}

impl InputShard {
    /// Whether the record at this position, counted from 0, belongs to the shard.
    pub(crate) fn contains(self, position: u64) -> bool {
        position % self.count == self.index - 1
    }
}

impl fmt::Display for InputShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for InputShard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<u64>().ok();
        match text.split_once('/').map(|(index, count)| (number(index), number(count))) {
            Some((Some(index), Some(count))) if (1..=count).contains(&index) => Ok(Self { index, count }),
            Some((Some(0), Some(_))) => Err("shards are counted from 1, and the last one is N/N".into()),
            _ => Err("expected I/N, such as 1/4, with I from 1 to N".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_counted_from_one() {
        let shard: InputShard = "2/3".parse().unwrap();
        assert_eq!((0..7).filter(|position| shard.contains(*position)).collect::<Vec<_>>(), [1, 4]);
        assert!("0/3".parse::<InputShard>().unwrap_err().contains("from 1"));
        for text in ["4/3", "1/0", "1", "a/b", "-1/2", "1/2/3", ""] {
            assert!(text.parse::<InputShard>().is_err(), "{text}");
        }
    }
}
