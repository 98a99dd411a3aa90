//! The part of Python's pickle format that a file of tensors needs, and no more.
//!
//! A pickle is a program for a small stack machine, and Python's own machine calls whatever the program names. This
//! one calls nothing: it knows the four things that `torch.save` names for a state dict, and refuses a program that
//! names anything else. Values lie in an arena and hold indices, so a program that nests or repeats values costs what
//! it is long, and nothing here recurses.
//!
//! Source: opcodes in `Lib/pickletools.py` (CPython), the meaning of the persistent ids in
//! `torch/serialization.py`, arguments in `torch/_utils.py`.

use std::collections::BTreeMap;

use safetensors::Dtype;

/// Opcodes that a program may have: a model with a thousand tensors takes some 40,000.
const MAX_STEPS: usize = 1_000_000;

/// Bytes of a name; a text that is long and often recalled would cost more than the program is long.
const MAX_TEXT: usize = 4096;

/// Dimensions of a tensor, for the same reason.
const MAX_DIMENSIONS: usize = 16;

/// An untyped run of numbers in a record of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Storage<'a> {
    pub(crate) dtype: Dtype,
    /// The record's name under `data/`.
    pub(crate) key: &'a str,
    pub(crate) elements: usize,
}

/// A tensor: a view of a storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View<'a> {
    pub(crate) storage: Storage<'a>,
    /// First element in the storage.
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    /// Elements from one index to the next, for each dimension.
    pub(crate) strides: Vec<usize>,
}

/// What a program may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Dtype),
}

/// Index of a value.
type Id = usize;

#[derive(Debug, Clone)]
enum Value<'a> {
    None,
    Bool,
    Int(i64),
    Text(&'a str),
    Global(Global),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Storage(Storage<'a>),
    Tensor(View<'a>),
}

/// Reads the program of a state dict: tensors by name, in the order in which it names them.
///
/// # Errors
/// What the program holds that a state dict does not.
pub(crate) fn read(program: &[u8]) -> Result<Vec<(&str, View<'_>)>, String> {
    let mut machine =
        Machine { rest: program, arena: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: BTreeMap::new() };
    for _ in 0..MAX_STEPS {
        if let Some(result) = machine.step()? {
            return machine.tensors(result);
        }
    }
    Err(format!("has more than {MAX_STEPS} steps"))
}

struct Machine<'a> {
    rest: &'a [u8],
    arena: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at each mark.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Id>,
}

impl<'a> Machine<'a> {
    /// One opcode; gives the result at the end of the program.
    fn step(&mut self) -> Result<Option<Id>, String> {
        match self.byte()? {
            // PROTO, FRAME: which opcodes follow, and in which portions to read them.
            0x80 => {
                self.take(1)?;
            }
            0x95 => {
                self.take(8)?;
            }
            b'N' => self.push(Value::None),
            0x88 | 0x89 => self.push(Value::Bool),
            b'K' => self.push_integer(1)?,
            b'M' => self.push_integer(2)?,
            b'J' => {
                let bytes = self.array()?;
                self.push(Value::Int(i32::from_le_bytes(bytes).into()));
            }
            // LONG1
            0x8a => self.push_long()?,
            0x8c => self.push_text(1)?,
            b'X' => self.push_text(4)?,
            b')' => self.push(Value::Tuple(Vec::new())),
            0x85 => self.push_tuple(1)?,
            0x86 => self.push_tuple(2)?,
            0x87 => self.push_tuple(3)?,
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items));
            }
            b'}' => self.push(Value::Dict(Vec::new())),
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.insert(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.insert(&items)?;
            }
            b'(' => self.marks.push(self.stack.len()),
            b'q' => {
                let index = self.byte()?;
                self.memoize(index.into())?;
            }
            b'r' => {
                let index = u32::from_le_bytes(self.array()?);
                self.memoize(index)?;
            }
            0x94 => self.memoize(self.memo.len() as u32)?,
            b'h' => {
                let index = self.byte()?;
                self.recall(index.into())?;
            }
            b'j' => {
                let index = u32::from_le_bytes(self.array()?);
                self.recall(index)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push_global(module, name)?;
            }
            // STACK_GLOBAL
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                self.push_global(self.text(module)?, self.text(name)?)?;
            }
            b'Q' => self.push_storage()?,
            b'R' => self.reduce()?,
            // BUILD sets attributes: torch's `_metadata`, which says nothing of the tensors.
            b'b' => {
                self.pop()?;
                let target = self.top()?;
                if !matches!(self.arena[target], Value::Dict(_)) {
                    return Err("sets attributes of what is not a dict".into());
                }
            }
            b'.' => return self.pop().map(Some),
            other => return Err(format!("has the opcode {other:#04x}, which a file of tensors does not")),
        }
        Ok(None)
    }

    fn reduce(&mut self) -> Result<(), String> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let (Value::Global(function), Value::Tuple(arguments)) = (&self.arena[function], &self.arena[arguments]) else {
            return Err("calls what is not a function".into());
        };
        let result = match (function, arguments[..].as_ref()) {
            (Global::OrderedDict, []) => Value::Dict(Vec::new()),
            // Then come requires_grad, hooks and, in newer versions, metadata.
            (Global::RebuildTensor, [storage, offset, shape, strides, ..]) => {
                let Value::Storage(storage) = self.arena[*storage] else {
                    return Err("builds a tensor of what is not a storage".into());
                };
                Value::Tensor(View {
                    storage,
                    offset: self.size(*offset)?,
                    shape: self.sizes(*shape)?,
                    strides: self.sizes(*strides)?,
                })
            }
            (Global::RebuildParameter, [tensor, ..]) => match &self.arena[*tensor] {
                Value::Tensor(view) => Value::Tensor(view.clone()),
                _ => return Err("builds a parameter of what is not a tensor".into()),
            },
            (function, arguments) => {
                return Err(format!("calls {function:?} with {} arguments", arguments.len()));
            }
        };
        self.push(result);
        Ok(())
    }

    /// A persistent id is `("storage", type, record, device, elements)`.
    fn push_storage(&mut self) -> Result<(), String> {
        let id = self.pop()?;
        let Value::Tuple(parts) = &self.arena[id] else {
            return Err("has a persistent id that is not a tuple".into());
        };
        let [kind, class, key, _device, elements] = parts[..] else {
            return Err(format!("has a persistent id of {} parts, not 5", parts.len()));
        };
        let Value::Global(Global::Storage(dtype)) = self.arena[class] else {
            return Err("has a persistent id without a type of storage".into());
        };
        if self.text(kind)? != "storage" {
            return Err("has a persistent id that is not a storage".into());
        }
        let storage = Storage { dtype, key: self.text(key)?, elements: self.size(elements)? };
        self.push(Value::Storage(storage));
        Ok(())
    }

    fn push_global(&mut self, module: &str, name: &str) -> Result<(), String> {
        let global = match (module, name) {
            ("collections", "OrderedDict") => Some(Global::OrderedDict),
            ("torch._utils", "_rebuild_tensor_v2") => Some(Global::RebuildTensor),
            ("torch._utils", "_rebuild_parameter") => Some(Global::RebuildParameter),
            ("torch", class) => storage_type(class).map(Global::Storage),
            _ => None,
        };
        let refuse = || format!("names {}, which a file of tensors does not", shown(&format!("{module}.{name}")));
        self.push(Value::Global(global.ok_or_else(refuse)?));
        Ok(())
    }

    /// The result as a state dict.
    fn tensors(self, result: Id) -> Result<Vec<(&'a str, View<'a>)>, String> {
        let Value::Dict(entries) = &self.arena[result] else {
            return Err("holds no dict of tensors".into());
        };
        let entry = |(key, value): &(Id, Id)| {
            let name = self.text(*key)?;
            match &self.arena[*value] {
                Value::Tensor(view) => Ok((name, view.clone())),
                _ => Err(format!("holds {}, which is not a tensor", shown(name))),
            }
        };
        entries.iter().map(entry).collect()
    }

    fn insert(&mut self, items: &[Id]) -> Result<(), String> {
        let target = self.top()?;
        let Value::Dict(entries) = &mut self.arena[target] else {
            return Err("puts items into what is not a dict".into());
        };
        let (pairs, []) = items.as_chunks::<2>() else {
            return Err("puts a key without a value into a dict".into());
        };
        entries.extend(pairs.iter().map(|[key, value]| (*key, *value)));
        Ok(())
    }

    fn push(&mut self, value: Value<'a>) {
        self.stack.push(self.arena.len());
        self.arena.push(value);
    }

    fn push_integer(&mut self, bytes: usize) -> Result<(), String> {
        let value = little_endian(self.take(bytes)?);
        self.push(Value::Int(value as i64));
        Ok(())
    }

    /// Two's complement of any length; only what fits into 64 bits is a size.
    fn push_long(&mut self) -> Result<(), String> {
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

    fn push_text(&mut self, length_bytes: usize) -> Result<(), String> {
        let length = little_endian(self.take(length_bytes)?);
        if length > MAX_TEXT as u64 {
            return Err(format!("has a text of {length} bytes"));
        }
        let text = utf8(self.take(length as usize)?)?;
        self.push(Value::Text(text));
        Ok(())
    }

    fn push_tuple(&mut self, length: usize) -> Result<(), String> {
        let mut items = (0..length).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        self.push(Value::Tuple(items));
        Ok(())
    }

    fn pop(&mut self) -> Result<Id, String> {
        self.top()?;
        self.stack.pop().ok_or_else(underflow)
    }

    /// What stands above the last mark.
    fn top(&self) -> Result<Id, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack.get(floor..).and_then(<[Id]>::last).copied().ok_or_else(underflow)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or_else(underflow)?;
        Ok(self.stack.split_off(mark))
    }

    fn memoize(&mut self, index: u32) -> Result<(), String> {
        let value = self.top()?;
        self.memo.insert(index, value);
        Ok(())
    }

    fn recall(&mut self, index: u32) -> Result<(), String> {
        let value = self.memo.get(&index).ok_or_else(|| format!("recalls value {index}, which it did not keep"))?;
        self.stack.push(*value);
        Ok(())
    }

    fn text(&self, id: Id) -> Result<&'a str, String> {
        match self.arena[id] {
            Value::Text(text) => Ok(text),
            _ => Err("has a name that is not a text".into()),
        }
    }

    fn size(&self, id: Id) -> Result<usize, String> {
        match self.arena[id] {
            Value::Int(size) => usize::try_from(size).map_err(|_| format!("has a size of {size}")),
            _ => Err("has a size that is not an integer".into()),
        }
    }

    fn sizes(&self, id: Id) -> Result<Vec<usize>, String> {
        match &self.arena[id] {
            Value::Tuple(sizes) if sizes.len() > MAX_DIMENSIONS => {
                Err(format!("has a tensor of {} dimensions", sizes.len()))
            }
            Value::Tuple(sizes) => sizes.iter().map(|size| self.size(*size)).collect(),
            _ => Err("has a shape that is not a tuple".into()),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or("ends too early")?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or("ends too early")?;
        self.rest = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    /// Up to the end of the line, which is left out.
    fn line(&mut self) -> Result<&'a str, String> {
        let end =
            self.rest.iter().take(MAX_TEXT).position(|byte| *byte == b'\n').ok_or("has a name that does not end")?;
        let line = self.take(end)?;
        self.byte()?;
        utf8(line)
    }
}

fn storage_type(class: &str) -> Option<Dtype> {
    Some(match class {
        "FloatStorage" => Dtype::F32,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::BF16,
        "DoubleStorage" => Dtype::F64,
        "LongStorage" => Dtype::I64,
        "IntStorage" => Dtype::I32,
        "ShortStorage" => Dtype::I16,
        "CharStorage" => Dtype::I8,
        "ByteStorage" => Dtype::U8,
        "BoolStorage" => Dtype::BOOL,
        _ => return None,
    })
}

/// At most eight bytes.
fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "has a text that is not UTF-8".into())
}

fn underflow() -> String {
    "takes more from its stack than there is".into()
}

/// A name out of a hostile file: control characters must not reach a terminal.
pub(crate) fn shown(name: &str) -> String {
    const MOST: usize = 100;
    let cut: String = name.chars().take(MOST).collect();
    if cut.len() < name.len() { format!("{:?}", cut + "…") } else { format!("{cut:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error of a program.
    fn refused(program: &[u8]) -> String {
        read(program).unwrap_err()
    }

    const GLOBALS: &[u8] = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nq\x00ctorch\nFloatStorage\nq\x01";

    /// A tensor of one element whose shape is on the stack between `before` and `after`.
    fn with_shape(shape: &[u8]) -> Vec<u8> {
        let storage = b"(X\x07\x00\x00\x00storageh\x01X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQ";
        let name = b"}X\x01\x00\x00\x00a";
        [GLOBALS, name, b"h\x00(", storage, b"K\x00", shape, b")tRs."].concat()
    }

    #[test]
    fn a_tensor_is_read() {
        let program = with_shape(b")");
        let storage = Storage { dtype: Dtype::F32, key: "0", elements: 1 };
        assert_eq!(read(&program), Ok(vec![("a", View { storage, offset: 0, shape: vec![], strides: vec![] })]));
    }

    #[test]
    fn sizes_that_are_none_are_refused() {
        assert_eq!(refused(&with_shape(b"J\xff\xff\xff\xff\x85")), "has a size of -1");
        assert_eq!(refused(&with_shape(b"\x8a\x01\xff\x85")), "has a size of -1");
        assert_eq!(refused(&with_shape(b"\x8a\x09\0\0\0\0\0\0\0\0\x01\x85")), "has an integer of 9 bytes");
        assert_eq!(refused(&with_shape(b"K\x01")), "has a shape that is not a tuple");
        assert_eq!(
            refused(&with_shape(&[b"(".as_slice(), &[b'N'; 17], b"t"].concat())),
            "has a tensor of 17 dimensions"
        );
    }

    #[test]
    fn programs_that_name_or_call_something_else_are_refused() {
        for (program, expected) in [
            (b"cos\nsystem\n.".as_slice(), "names \"os.system\", which a file of tensors does not"),
            (b"ctorch\nload\n.", "names \"torch.load\", which"),
            (b"\x8c\x08builtins\x8c\x04eval\x93.", "names \"builtins.eval\", which"),
            (b"c\x1b[2J\nx\n.", "names \"\\u{1b}[2J.x\", which"),
            (b"(X\x02\x00\x00\x00idios\nsystem\n.", "has the opcode 0x69, which"),
            (b"}X\x01\x00\x00\x00a}s.", "holds \"a\", which is not a tensor"),
            (b"N)R.", "calls what is not a function"),
            (b"ccollections\nOrderedDict\nK\x01\x85R.", "calls OrderedDict with 1 arguments"),
            (b"K\x01Q.", "persistent id that is not a tuple"),
            (b")}b.", "sets attributes of what is not a dict"),
            (b"N.", "holds no dict of tensors"),
            (b".", "takes more from its stack than there is"),
            (b"(}t", "ends too early"),
            (b"h\x07.", "recalls value 7, which it did not keep"),
            (b"X\xff\xff\xff\xff", "has a text of 4294967295 bytes"),
            (b"\x8c\x02\xff\xff.", "has a text that is not UTF-8"),
        ] {
            let error = refused(program);
            assert!(error.contains(expected), "{error}");
        }
    }

    /// Each would grow without bound in a machine that copies values, or follows them by recursion.
    #[test]
    fn bombs_are_duds() {
        let dict_in_itself = b"}q\x00X\x01\x00\x00\x00ah\x00s.";
        assert_eq!(refused(dict_in_itself), "holds \"a\", which is not a tensor");
        let deep = [b"}".as_slice(), &vec![0x85; 900_000], b"."].concat();
        assert_eq!(refused(&deep), "holds no dict of tensors");
        let doubled = [&b")"[..], &b"q\x00h\x00\x86".repeat(300_000), b"."].concat();
        assert_eq!(refused(&doubled), "holds no dict of tensors");
        assert_eq!(refused(&vec![b'N'; 2_000_000]), "has more than 1000000 steps");
        let endless_name = [b"c".as_slice(), &vec![b'a'; 10_000]].concat();
        assert_eq!(refused(&endless_name), "has a name that does not end");
    }
}
