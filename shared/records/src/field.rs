//! A value of a JSON object.

use std::borrow::Cow;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// The value of a field.
///
/// A string is decoded, because texts are what records are read for. Any other value stays as it was read, so that it
/// is written back unchanged: as numbers, 2^64 and 1.10 would be written differently.
#[derive(Debug, Clone)]
pub enum Field {
    /// A string.
    Text(String),
    /// JSON that was read and is not a string.
    Read(Box<RawValue>),
    /// JSON that a filter has created and that is not a string.
    Made(Value),
}

impl Field {
    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Read(_) | Self::Made(_) => None,
        }
    }

    /// The number as a float, if it is a number; one that is too large for a float is infinite.
    pub fn as_f64(&self) -> Option<f64> {
        self.number()?.parse().ok()
    }

    /// Whether it is null, which counts as absent.
    pub fn is_null(&self) -> bool {
        self.first_byte() == b'n'
    }

    /// The items of a list, if it is one.
    pub(crate) fn items(&self) -> Option<Vec<Self>> {
        (self.first_byte() == b'[').then(|| serde_json::from_str(&self.json()).unwrap_or_default())
    }

    /// A name for the kind of value, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self.first_byte() {
            b'"' => "a string",
            b'n' => "null",
            b't' | b'f' => "a boolean",
            b'[' => "an array",
            b'{' => "an object",
            _ => "a number",
        }
    }

    /// The text of a number as it was written, if it is one: 1.0 and 1.00 are different ids, and no digit is lost.
    pub fn number(&self) -> Option<Cow<'_, str>> {
        matches!(self.first_byte(), b'-' | b'0'..=b'9').then(|| self.json())
    }

    /// The value as JSON, or a string itself.
    fn json(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => text.into(),
            Self::Read(raw) => raw.get().into(),
            Self::Made(value) => value.to_string().into(),
        }
    }

    /// The first byte of the value as JSON, which tells its kind.
    fn first_byte(&self) -> u8 {
        match self {
            Self::Text(_) => b'"',
            Self::Read(raw) => raw.get().bytes().next().unwrap_or_default(),
            Self::Made(value) => match value {
                Value::Null => b'n',
                Value::Bool(_) => b't',
                Value::Number(_) => b'0',
                Value::String(_) => b'"',
                Value::Array(_) => b'[',
                Value::Object(_) => b'{',
            },
        }
    }
}

impl From<Value> for Field {
    fn from(value: Value) -> Self {
        match value {
            Value::String(text) => Self::Text(text),
            value => Self::Made(value),
        }
    }
}

impl From<String> for Field {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Field {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<usize> for Field {
    fn from(number: usize) -> Self {
        Self::Made(number.into())
    }
}

/// Fields are equal if they are written in the same way.
impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str() && self.json() == other.json()
    }
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Read(raw) => raw.serialize(serializer),
            Self::Made(value) => value.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        if !raw.get().starts_with('"') {
            return Ok(Self::Read(raw.to_owned()));
        }
        serde_json::from_str(raw.get()).map(Self::Text).map_err(|error| {
            // The position within the string is of no use; the reader adds that of the line.
            let error = error.to_string();
            D::Error::custom(error.split(" at line ").next().unwrap_or_default())
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Document, Object, Records, write_json_line};

    fn field(json: &str) -> Field {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn records_are_written_as_they_were_read() {
        let lines = [
            r#"{"_id":340282366920938463463374607431768211455,"text":"a","n":12345678901234567890123,"m":-18446744073709551617}"#,
            r#"{"_id":"x","text":"","a":1.10,"b":1E400,"c":0.1000000000000000055511151231257827,"d":-0,"e":[1.0,{"f":18446744073709551616}]}"#,
            r#"{"_id":"x","text":"é\n","nested":{"b":"\u00e9","a":null},"list":[],"t":true}"#,
        ];
        for line in lines {
            let object = Records::<Object, _>::new("x", line.as_bytes(), 1000).next().unwrap().unwrap();
            let mut written = Vec::new();
            write_json_line(&object, &mut written).unwrap();
            assert_eq!(String::from_utf8(written).unwrap(), format!("{line}\n"));
        }
    }

    #[test]
    fn large_ids_stay_different() {
        let id = |number: &str| {
            let line = format!("{{\"_id\":{number},\"text\":\"\"}}");
            Records::<Document, _>::new("x", line.as_bytes(), 1000).next().unwrap().unwrap().id().to_owned()
        };
        for number in [
            "340282366920938463463374607431768211455",
            "-9223372036854775809",
            "18446744073709551616",
            "7",
            "1.0",
            "1.00",
            "0.1000000000000000055",
            "1E2",
            "1E400",
            "-0",
        ] {
            assert_eq!(id(number), number);
        }
    }

    #[test]
    fn values_know_their_kinds() {
        for (json, kind) in [
            ("null", "null"),
            ("false", "a boolean"),
            ("-1", "a number"),
            ("\"\"", "a string"),
            ("[1]", "an array"),
            ("{}", "an object"),
        ] {
            let (read, made) = (field(json), Field::from(serde_json::from_str::<Value>(json).unwrap()));
            assert_eq!((read.kind(), made.kind()), (kind, kind));
            assert_eq!(read, made);
            assert_eq!(json!(read), json!(made));
        }
        assert_eq!(field("1e999").as_f64(), Some(f64::INFINITY));
        assert_eq!((field("0.1").as_f64(), field("\"1\"").as_f64(), field("[1]").as_f64()), (Some(0.1), None, None));
        assert_ne!(field("\"1\""), field("1"));
        assert_eq!(field("[1, \"a\"]").items().unwrap(), [field("1"), field("\"a\"")]);
        assert!(field("{}").items().is_none() && field("\"[]\"").items().is_none());
    }

    #[test]
    fn invalid_json_is_reported_with_its_line() {
        let read = |line: &str| Records::<Object, _>::new("x", line.as_bytes(), 1000).next().unwrap();
        let message = read(r#"{"a": "\ud83d"}"#).unwrap_err().to_string();
        assert!(message.starts_with("x:1: not JSON: "), "{message}");
        for line in
            [r#"{"a": 1,}"#, r#"{"a": 01}"#, r#"{"a": NaN}"#, r#"{"a": [1}"#, r#"{"a": 1} 2"#, r#"{"a": "b"#, "{"]
        {
            assert!(read(line).unwrap_err().to_string().starts_with("x:1: not JSON: "), "{line}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let object = Records::<Object, _>::new("x", deep.as_bytes(), 1 << 20).next().unwrap().unwrap();
        assert_eq!(object.get("a").unwrap().kind(), "an array");
    }
}
