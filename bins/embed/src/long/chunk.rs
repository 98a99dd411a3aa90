//! Records of the chunks of a text.

use std::ops::Range;

use embtune_records::Document;

/// The records of a record's chunks: the chunk's text in the field that was divided, the id `ID#0` and so on, and where
/// the chunk stands, in characters, so that Python's `field[start:end]` is the chunk.
pub(crate) fn records(record: Document, field: &str, spans: &[Range<usize>]) -> impl Iterator<Item = Document> {
    let text = record.field(field).to_owned();
    let (id, group) = (record.id().to_owned(), record.group_or_id().into_owned());
    // Each chunk is a copy of this one: it must not hold the whole text.
    let record = record.with_field(field, "").with_field("group", group);
    let mut place = Place { text, byte: 0, character: 0 };
    spans.iter().enumerate().map(move |(number, span)| {
        let start = place.characters_before(span.start);
        let chunk = place.text.get(span.clone()).unwrap_or_default();
        let end = start + chunk.chars().count();
        let record = record.clone().with_id(format!("{id}#{number}")).with_field(field, chunk);
        record.with_field("chunk", number).with_field("start", start).with_field("end", end)
    })
}

/// Counts the characters before a byte; the bytes that are asked for rise, so that a text is counted once.
struct Place {
    text: String,
    byte: usize,
    character: usize,
}

impl Place {
    fn characters_before(&mut self, byte: usize) -> usize {
        if byte < self.byte {
            (self.byte, self.character) = (0, 0);
        }
        self.character += self.text.get(self.byte..byte).map_or(0, |text| text.chars().count());
        self.byte = byte;
        self.character
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn chunks_say_what_they_are_of() {
        let text = "h\u{e4}il \u{96e8} cells";
        let record = Document::new("a", Some("T"), text);
        let spans = [0..6, 6..9, 10..15, 3..5];
        let records: Vec<_> = records(record, "text", &spans).map(Document::into_object).collect();
        let chunk = |number: usize, text: &str, start: usize, end: usize| {
            json!({"_id": format!("a#{number}"), "title": "T", "text": text, "group": "a",
                   "chunk": number, "start": start, "end": end})
        };
        assert_eq!(json!(records[0]), chunk(0, "h\u{e4}il ", 0, 5));
        assert_eq!(json!(records[1]), chunk(1, "\u{96e8}", 5, 6));
        assert_eq!(json!(records[2]), chunk(2, "cells", 7, 12));
        assert_eq!(json!(records[3]), chunk(3, "il", 2, 4));
    }
}
