//! Records for the chunks of a text.

use std::ops::Range;

use embtune_records::Document;

/// The records for the chunks of a record. Each has the chunk's text in the field that was divided, the id `ID#0` and
/// so on, and the chunk's position in characters, so that Python's `field[start:end]` is the chunk.
pub(super) fn chunk_records(record: Document, field: &str, spans: &[Range<usize>]) -> impl Iterator<Item = Document> {
    let text = record.field(field).to_owned();
    let (id, group) = (record.id().to_owned(), record.group_or_id().into_owned());
    // This record is copied for each chunk, and must not contain the whole text.
    let record = record.with_field(field, "").with_field("group", group);
    let mut cursor = Cursor { text, byte: 0, character: 0 };
    spans.iter().enumerate().map(move |(number, span)| {
        let start = cursor.characters_before(span.start);
        let chunk = cursor.text.get(span.clone()).unwrap_or_default();
        let end = start + chunk.chars().count();
        let record = record.clone().with_id(format!("{id}#{number}")).with_field(field, chunk);
        record.with_field("chunk", number).with_field("start", start).with_field("end", end)
    })
}

/// Counts the characters before a byte, beginning at the byte of the last call, so that a text is traversed only once.
struct Cursor {
    text: String,
    byte: usize,
    character: usize,
}

impl Cursor {
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
    fn chunks_have_ids_and_positions() {
        let text = "h\u{e4}il \u{96e8} cells";
        let record = Document::new("a", Some("T"), text);
        let spans = [0..6, 6..9, 10..15, 3..5];
        let records: Vec<_> = chunk_records(record, "text", &spans).map(Document::into_object).collect();
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
