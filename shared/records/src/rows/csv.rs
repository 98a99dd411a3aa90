//! Lines of values that are separated by commas.

use std::borrow::Cow;

/// The values of a line (RFC 4180): one in quotes may hold commas, and quotes twice. `None` when a quote is never closed
/// or followed by anything but a comma.
pub(super) fn split(line: &str) -> Option<Vec<Cow<'_, str>>> {
    let mut values = Vec::new();
    let mut rest = line;
    loop {
        let (value, after) = value(rest)?;
        values.push(value);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return after.is_empty().then_some(values),
        }
    }
}

/// The first value, and what follows it.
fn value(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        return Some((text[..end].into(), &text[end..]));
    };
    let mut value = String::new();
    let mut rest = quoted;
    loop {
        let (before, after) = rest.split_once('"')?;
        value.push_str(before);
        match after.strip_prefix('"') {
            Some(next) => {
                value.push('"');
                rest = next;
            }
            None => return Some((value.into(), after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn quotes_hold_commas_and_quotes() {
        let values = |line| split(line).map(|values| values.join("|"));
        assert_eq!(values("q1,d1,1").unwrap(), "q1|d1|1");
        assert_eq!(values("\"a,b\",\"say \"\"x\"\"\",").unwrap(), "a,b|say \"x\"|");
        assert_eq!(values("a\"b,c").unwrap(), "a\"b|c", "a quote inside a value is itself");
        assert_eq!(values("").unwrap(), "");
        assert_eq!([values("\"a,b"), values("\"a\"b,c")], [None, None]);
    }
}
