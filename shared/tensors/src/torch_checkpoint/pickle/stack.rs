//! The machine's stack and memo, and the bytes of its program.

use super::{Id, MAX_DIMENSIONS, MAX_TEXT, Machine, Value, little_endian, underflow, utf8};

impl<'a> Machine<'a> {
    pub(super) fn push(&mut self, value: Value<'a>) {
        self.stack.push(self.arena.len());
        self.arena.push(value);
    }

    pub(super) fn push_integer(&mut self, bytes: usize) -> Result<(), String> {
        let value = little_endian(self.take(bytes)?);
        self.push(Value::Int(value as i64));
        Ok(())
    }

    /// Two's complement of any length; only what fits into 64 bits is a size.
    pub(super) fn push_long(&mut self) -> Result<(), String> {
        let length = self.byte()?;
        let bytes = self.take(length.into())?;
        if bytes.len() > 8 {
            return Err(format!("has an integer of {length} bytes"));
        }
        let unused = 64 - 8 * bytes.len() as u32;
        let value = if bytes.is_empty() { 0 } else { (little_endian(bytes) << unused) as i64 >> unused };
        self.push(Value::Int(value));
        Ok(())
    }

    pub(super) fn push_text(&mut self, length_bytes: usize) -> Result<(), String> {
        let length = little_endian(self.take(length_bytes)?);
        if length > MAX_TEXT as u64 {
            return Err(format!("has a text of {length} bytes"));
        }
        let text = utf8(self.take(length as usize)?)?;
        self.push(Value::Text(text));
        Ok(())
    }

    pub(super) fn push_tuple(&mut self, length: usize) -> Result<(), String> {
        let mut items = (0..length).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        self.push(Value::Tuple(items));
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Result<Id, String> {
        self.top()?;
        self.stack.pop().ok_or_else(underflow)
    }

    /// The topmost value above the last mark.
    pub(super) fn top(&self) -> Result<Id, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack.get(floor..).and_then(<[Id]>::last).copied().ok_or_else(underflow)
    }

    pub(super) fn pop_to_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or_else(underflow)?;
        Ok(self.stack.split_off(mark))
    }

    /// Keeps the topmost value under a number of so many bytes, or under the next one.
    pub(super) fn memoize(&mut self, index_bytes: usize) -> Result<(), String> {
        let value = self.top()?;
        let index = if index_bytes == 0 { self.memo.len() as u64 } else { little_endian(self.take(index_bytes)?) };
        self.memo.insert(index, value);
        Ok(())
    }

    /// Pushes the value that is kept under a number of so many bytes.
    pub(super) fn recall(&mut self, index_bytes: usize) -> Result<(), String> {
        let index = little_endian(self.take(index_bytes)?);
        let value = self.memo.get(&index).ok_or_else(|| format!("recalls value {index}, which it did not keep"))?;
        self.stack.push(*value);
        Ok(())
    }

    pub(super) fn text(&self, id: Id) -> Result<&'a str, String> {
        match self.arena[id] {
            Value::Text(text) => Ok(text),
            _ => Err("has a name that is not a text".into()),
        }
    }

    pub(super) fn size(&self, id: Id) -> Result<usize, String> {
        match self.arena[id] {
            Value::Int(size) => usize::try_from(size).map_err(|_| format!("has a size of {size}")),
            _ => Err("has a size that is not an integer".into()),
        }
    }

    pub(super) fn sizes(&self, id: Id) -> Result<Vec<usize>, String> {
        match &self.arena[id] {
            Value::Tuple(sizes) if sizes.len() > MAX_DIMENSIONS => {
                Err(format!("has a tensor of {} dimensions", sizes.len()))
            }
            Value::Tuple(sizes) => sizes.iter().map(|size| self.size(*size)).collect(),
            _ => Err("has a shape that is not a tuple".into()),
        }
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or("ends too early")?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or("ends too early")?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, String> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    /// Up to the end of the line, which is left out.
    pub(super) fn line(&mut self) -> Result<&'a str, String> {
        let end =
            self.rest.iter().take(MAX_TEXT).position(|byte| *byte == b'\n').ok_or("has a name that does not end")?;
        let line = self.take(end)?;
        self.byte()?;
        utf8(line)
    }
}
