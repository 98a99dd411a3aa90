//! The part of Python's pickle format that a file of tensors needs.
//!
//! A pickle is a program for a small stack machine, and Python's machine calls whatever the program names. This one
//! calls nothing: it knows the four globals that `torch.save` names for a state dict, and refuses a program that names
//! any other. Values are stored in an arena and refer to each other by index, so the cost of a program that nests or
//! repeats values is linear in its length, and nothing here is recursive.
//!
//! Source: opcodes in `Lib/pickletools.py` (CPython), the meaning of the persistent ids in
//! `torch/serialization.py`, arguments in `torch/_utils.py`.

mod stack;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use safetensors::Dtype;

/// Most opcodes of a program; a model with a thousand tensors takes about 40,000.
const MAX_STEPS: usize = 1_000_000;

/// Most bytes of a name; a long text that is recalled often would cost more than the length of the program.
const MAX_TEXT: usize = 4096;

/// Most dimensions of a tensor, for the same reason.
const MAX_DIMENSIONS: usize = 16;

/// A sequence of numbers in a separate record.
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

/// The globals that a program may name.
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

/// Runs the program of a state dict, and returns its tensors by name, in order.
///
/// # Errors
/// Anything in the program that a state dict does not have.
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
    memo: BTreeMap<u64, Id>,
}

impl<'a> Machine<'a> {
    /// One opcode; gives the result at the end of the program.
    fn step(&mut self) -> Result<Option<Id>, String> {
        match self.byte()? {
            // PROTO and FRAME: the version of the opcodes, and the size of the frame.
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
            b'q' => self.memoize(1)?,
            b'r' => self.memoize(4)?,
            0x94 => self.memoize(0)?,
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
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
            // BUILD sets attributes, such as torch's `_metadata`, which does not describe the tensors.
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
            // The other arguments are requires_grad, hooks and, in newer versions, metadata.
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

/// A name from an untrusted file, in which control characters are escaped.
pub(crate) fn shown(name: &str) -> String {
    const MOST: usize = 100;
    let cut: String = name.chars().take(MOST).collect();
    if cut.len() < name.len() { format!("{:?}", cut + "…") } else { format!("{cut:?}") }
}
