//! Python's pickle format (protocol 2, `pickletools` in CPython documents it), as far as weights need it: read as data,
//! never run, in memory that the pickle's length bounds.
//!
//! A pickle is a program for a stack machine. A hostile one of a few bytes can claim a text of gigabytes, nest without end
//! or double an object again and again through the memo. Here a text may be no longer than what is left of the pickle,
//! objects are shared and never copied, and their number and depth are bounded.

use std::collections::HashMap;
use std::rc::Rc;

/// Most objects, stack places and memo places, each: ten thousands of tensors, in tens of megabytes.
const MOST: usize = 1 << 20;
/// Deepest nesting. Weights have eight levels.
const DEEPEST: u32 = 64;

/// A value that a pickle describes.
#[derive(Debug)]
pub(super) enum Object {
    /// `None`, true or false, a list: nothing that weights are read from.
    Other,
    Int(i64),
    Float(f64),
    Text(String),
    /// A class or function, by module and name.
    Global(String, String),
    Tuple(Vec<Shared>),
    Dict(Vec<(Shared, Shared)>),
    /// The call of something with arguments, which is not made.
    Call(Shared, Shared),
    /// An object that lies outside the pickle.
    Persistent(Shared),
}

/// An object and how deep it nests.
#[derive(Debug)]
pub(super) struct Node {
    pub object: Object,
    depth: u32,
}

pub(super) type Shared = Rc<Node>;

/// The object that `pickle` describes.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn read(pickle: &[u8]) -> Result<Shared, String> {
    let mut machine = Machine { rest: pickle, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), objects: 0 };
    loop {
        if machine.stack.len() > MOST || machine.memo.len() > MOST || machine.marks.len() > MOST {
            return Err("it holds more than weights need".into());
        }
        let code = machine.byte()?;
        if code == b'.' {
            return machine.pop();
        }
        machine.step(code)?;
    }
}

struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Shared>,
    /// Heights of the stack at which marks stand.
    marks: Vec<usize>,
    memo: HashMap<u32, Shared>,
    objects: usize,
}

impl<'a> Machine<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or("it is cut short")?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.bytes(1)?[0])
    }

    /// A little-endian number of so many bytes, at most 8.
    fn unsigned(&mut self, count: usize) -> Result<u64, String> {
        let mut number = [0; 8];
        number[..count].copy_from_slice(self.bytes(count)?);
        Ok(u64::from_le_bytes(number))
    }

    fn line(&mut self) -> Result<String, String> {
        let end = memchr::memchr(b'\n', self.rest).ok_or("it is cut short")?;
        let line = self.bytes(end + 1)?;
        Ok(String::from_utf8_lossy(line).trim_end().to_string())
    }

    fn push(&mut self, object: Object) -> Result<(), String> {
        let depth = match &object {
            Object::Other | Object::Int(_) | Object::Float(_) | Object::Text(_) | Object::Global(..) => 0,
            Object::Tuple(items) => deepest(items),
            Object::Dict(entries) => deepest_entry(entries),
            Object::Call(one, two) => one.depth.max(two.depth) + 1,
            Object::Persistent(id) => id.depth + 1,
        };
        self.objects += 1;
        if depth > DEEPEST || self.objects > MOST {
            return Err("it holds more than weights need".into());
        }
        self.stack.push(Rc::new(Node { object, depth }));
        Ok(())
    }

    fn pop(&mut self) -> Result<Shared, String> {
        // What stands below a mark is out of reach.
        match self.stack.len() > self.marks.last().copied().unwrap_or(0) {
            true => self.stack.pop().ok_or_else(|| "it takes from an empty stack".into()),
            false => Err("it takes from an empty stack".into()),
        }
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Shared>, String> {
        let mark = self.marks.pop().ok_or("it has no mark where one is needed")?;
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, count: usize) -> Result<(), String> {
        let mut items = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        self.push(Object::Tuple(items))
    }

    /// Adds entries to the dictionary on top of the stack.
    fn set_items(&mut self, items: Vec<Shared>) -> Result<(), String> {
        let entries: Vec<(Shared, Shared)> =
            items.as_chunks().0.iter().map(|[key, value]| (key.clone(), value.clone())).collect();
        let top = self.stack.last_mut().ok_or("it takes from an empty stack")?;
        let Object::Dict(held) = &top.object else { return Err("it sets items of what is no dictionary".into()) };
        let is_empty = held.is_empty();
        if Rc::get_mut(top).is_none() {
            // In the memo too, usually, but there it is not asked for again. A copy of what holds nothing costs nothing.
            if !is_empty {
                return Err("it adds to a dictionary that is used elsewhere".into());
            }
            *top = Rc::new(Node { object: Object::Dict(Vec::new()), depth: 0 });
        }
        let depth = deepest_entry(&entries);
        if depth > DEEPEST {
            return Err("it holds more than weights need".into());
        }
        if let Some(Node { object: Object::Dict(held), depth: height }) = Rc::get_mut(top) {
            held.extend(entries);
            *height = depth.max(*height);
        }
        Ok(())
    }

    fn memorise(&mut self, place: u64) -> Result<(), String> {
        let top = self.stack.last().ok_or("it takes from an empty stack")?;
        self.memo.insert(place as u32, top.clone());
        Ok(())
    }

    fn remember(&mut self, place: u64) -> Result<(), String> {
        let object = self.memo.get(&(place as u32)).ok_or("it remembers what it never had")?;
        self.stack.push(object.clone());
        Ok(())
    }

    fn step(&mut self, code: u8) -> Result<(), String> {
        match code {
            // The protocol's version.
            0x80 => self.byte().map(drop),
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Object::Global(module, name))
            }
            b'q' => self.unsigned(1).and_then(|place| self.memorise(place)),
            b'r' => self.unsigned(4).and_then(|place| self.memorise(place)),
            b'h' => self.unsigned(1).and_then(|place| self.remember(place)),
            b'j' => self.unsigned(4).and_then(|place| self.remember(place)),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'X' => {
                let length = self.unsigned(4)? as usize;
                let text = str::from_utf8(self.bytes(length)?).map_err(|error| error.to_string())?.to_string();
                self.push(Object::Text(text))
            }
            b'K' => self.unsigned(1).and_then(|number| self.push(Object::Int(number as i64))),
            b'M' => self.unsigned(2).and_then(|number| self.push(Object::Int(number as i64))),
            b'J' => self.unsigned(4).and_then(|number| self.push(Object::Int(i64::from(number as u32 as i32)))),
            0x8a => {
                let count = usize::from(self.byte()?);
                if count > 8 {
                    return Err("it holds a number of more than 64 bits".into());
                }
                let number = self.unsigned(count)?;
                // The highest bit that is there is the sign.
                let spare = 64 - 8 * count as u32;
                let number = if count == 0 { 0 } else { (number << spare) as i64 >> spare };
                self.push(Object::Int(number))
            }
            // The one number that stands with its highest byte first.
            b'G' => self.unsigned(8).and_then(|bits| self.push(Object::Float(f64::from_bits(bits.swap_bytes())))),
            b'N' | 0x88 | 0x89 | b']' => self.push(Object::Other),
            b'a' => self.pop().map(drop),
            b'e' => self.pop_to_mark().map(drop),
            b')' => self.tuple(0),
            0x85 => self.tuple(1),
            0x86 => self.tuple(2),
            0x87 => self.tuple(3),
            b't' => self.pop_to_mark().and_then(|items| self.push(Object::Tuple(items))),
            b'}' => self.push(Object::Dict(Vec::new())),
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(vec![key, value])
            }
            b'u' => self.pop_to_mark().and_then(|items| self.set_items(items)),
            b'R' | 0x81 => {
                let arguments = self.pop()?;
                let callable = self.pop()?;
                match &callable.object {
                    Object::Global(module, name) if module == "collections" && name == "OrderedDict" => {
                        self.push(Object::Dict(Vec::new()))
                    }
                    _ => self.push(Object::Call(callable, arguments)),
                }
            }
            // Attributes of an object: those of a dictionary are entries beside its own, as PyTorch's `_metadata` is.
            b'b' => {
                let state = self.pop()?;
                match &state.object {
                    Object::Dict(entries)
                        if matches!(self.stack.last().map(|top| &top.object), Some(Object::Dict(_))) =>
                    {
                        let items = entries.iter().flat_map(|(key, value)| [key.clone(), value.clone()]).collect();
                        self.objects += entries.len();
                        self.set_items(items)
                    }
                    _ => {
                        let object = self.pop()?;
                        self.push(Object::Call(object, state))
                    }
                }
            }
            b'Q' => self.pop().and_then(|id| self.push(Object::Persistent(id))),
            code => Err(format!("it has the operation {code:#04x}, which no weights need")),
        }
    }
}

/// How deep a tuple of these nests.
fn deepest(items: &[Shared]) -> u32 {
    items.iter().map(|item| item.depth + 1).max().unwrap_or(0)
}

/// How deep a dictionary of these nests.
fn deepest_entry(entries: &[(Shared, Shared)]) -> u32 {
    entries.iter().map(|(key, value)| key.depth.max(value.depth) + 1).max().unwrap_or(0)
}
