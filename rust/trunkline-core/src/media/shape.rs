//! How a message with audio is recognised and read.

use super::give_back;
use crate::Error;
use crate::base64;
use crate::scan::{Found, Kind, Paths, Value};
use crate::websocket::MessageKind;

/// Digits that a counter has at most; so many fit into 64 bits.
const MAX_DIGITS: usize = 18;

/// What a member must say for its message to be audio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// One of these strings.
    OneOf(Vec<String>),
    /// This number, written just so.
    Number(String),
    /// Any string of 1 to 18 digits.
    Digits,
    /// Any string.
    Text,
}

/// A member besides the audio, and what it must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Where it is; see [`Paths`].
    pub path: String,
    /// What it must say.
    pub rule: Rule,
    /// Whether it may be missing.
    pub is_optional: bool,
}

/// A member that counts messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// Where it is; see [`Paths`].
    pub path: String,
    /// Whether it is a string of digits; otherwise it is a number.
    pub is_text: bool,
}

/// A JSON message that carries audio as base64.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JsonShape {
    /// Where the base64 is; see [`Paths`].
    pub audio: String,
    /// What else must be there.
    pub expected: Vec<Expected>,
    /// Where the id of the response is that the audio belongs to.
    pub response_id: Option<String>,
    /// Where the id of the item is that the audio belongs to.
    pub item_id: Option<String>,
    /// What numbers all messages of the socket, so that lost ones are noticed.
    pub counter: Option<Counter>,
    /// What numbers the messages with audio, where they do not come in order.
    pub order: Option<Counter>,
    /// Whether nothing but what is named here may be in the message.
    pub is_closed: bool,
    /// Whether such messages come in binary messages as well as in text.
    pub in_binary: bool,
    /// Bytes of audio that a message may have; any number if None.
    pub max_audio: Option<usize>,
}

/// How messages with audio look on a socket.
#[derive(Debug, Clone)]
pub struct MediaShape(Form);

#[derive(Debug, Clone)]
enum Form {
    Binary { len: Option<usize> },
    Json(Box<Compiled>),
}

/// A JSON shape, with the numbers of its paths. The audio is path 0, what is expected follows in its order.
#[derive(Debug, Clone)]
struct Compiled {
    shape: JsonShape,
    paths: Paths,
    response_id: Option<usize>,
    item_id: Option<usize>,
    counter: Option<(usize, bool)>,
    order: Option<(usize, bool)>,
}

/// What was read of a message; kept from one to the next for its memory.
#[derive(Debug, Clone, Default)]
pub struct Read {
    /// The audio.
    pub audio: Vec<u8>,
    /// What the counter said.
    pub counter: Option<u64>,
    /// What the order said.
    pub order: Option<u64>,
    found: Found,
}

impl MediaShape {
    /// Audio comes as binary messages: of `len` bytes each, or of any length.
    #[must_use]
    pub const fn binary(len: Option<usize>) -> Self {
        Self(Form::Binary { len })
    }

    /// Audio comes as base64 in JSON.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if a path cannot be read.
    pub fn json(shape: JsonShape) -> Result<Self, Error> {
        let mut paths = vec![shape.audio.as_str()];
        paths.extend(shape.expected.iter().map(|expected| expected.path.as_str()));
        let response_id = number(&mut paths, shape.response_id.as_deref());
        let item_id = number(&mut paths, shape.item_id.as_deref());
        let counter = counter_of(&mut paths, shape.counter.as_ref());
        let order = counter_of(&mut paths, shape.order.as_ref());
        let paths = Paths::new(&paths, shape.is_closed)?;
        Ok(Self(Form::Json(Box::new(Compiled {
            shape,
            paths,
            response_id,
            item_id,
            counter,
            order,
        }))))
    }

    /// Whether the messages tell which response and item they belong to.
    #[must_use]
    pub fn has_ids(&self) -> bool {
        matches!(&self.0, Form::Json(json) if json.response_id.is_some() || json.item_id.is_some())
    }

    /// Whether the messages are to be put in order.
    #[must_use]
    pub fn has_order(&self) -> bool {
        matches!(&self.0, Form::Json(json) if json.order.is_some())
    }

    /// Reads a message; false if it is not, in every respect, audio of the response and the item that are named.
    pub fn read(
        &self,
        kind: MessageKind,
        payload: &[u8],
        response_id: &str,
        item_id: &str,
        read: &mut Read,
    ) -> bool {
        match &self.0 {
            Form::Binary { len } => {
                let fits =
                    kind == MessageKind::Binary && len.is_none_or(|len| len == payload.len());
                if fits {
                    read.audio.clear();
                    read.audio.extend_from_slice(payload);
                    (read.counter, read.order) = (None, None);
                }
                fits
            }
            Form::Json(json) => {
                let is_json = match kind {
                    MessageKind::Text => true,
                    MessageKind::Binary => json.shape.in_binary && str::from_utf8(payload).is_ok(),
                    _ => false,
                };
                is_json && json.read(payload, response_id, item_id, read).is_some()
            }
        }
    }
}

/// Looks for one path more, and tells its number.
fn number<'shape>(paths: &mut Vec<&'shape str>, path: Option<&'shape str>) -> Option<usize> {
    paths.push(path?);
    Some(paths.len() - 1)
}

fn counter_of<'shape>(
    paths: &mut Vec<&'shape str>,
    counter: Option<&'shape Counter>,
) -> Option<(usize, bool)> {
    let counter = counter?;
    Some((number(paths, Some(&counter.path))?, counter.is_text))
}

impl Compiled {
    fn read(&self, text: &[u8], response_id: &str, item_id: &str, read: &mut Read) -> Option<()> {
        self.paths.find(text, &mut read.found).ok()?;
        let found = &read.found;
        for (number, expected) in (1..).zip(&self.shape.expected) {
            let fits = match found.get(number) {
                Some(value) => expected.rule.allows(value, text),
                None => expected.is_optional,
            };
            fits.then_some(())?;
        }
        for (path, id) in [(self.response_id, response_id), (self.item_id, item_id)] {
            if let Some(path) = path {
                (string(found.get(path)?, text)? == id.as_bytes()).then_some(())?;
            }
        }
        let count = |counter: Option<(usize, bool)>| match counter {
            Some((path, is_text)) => count(found.get(path)?, text, is_text).map(Some),
            None => Some(None),
        };
        (read.counter, read.order) = (count(self.counter)?, count(self.order)?);
        let audio = string(found.get(0)?, text)?;
        give_back(&mut read.audio);
        base64::decode(audio, &mut read.audio).ok()?;
        let max = self.shape.max_audio.unwrap_or(usize::MAX);
        (read.audio.len() <= max).then_some(())
    }
}

impl Rule {
    fn allows(&self, value: &Value, text: &[u8]) -> bool {
        match self {
            Self::OneOf(words) => string(value, text)
                .is_some_and(|said| words.iter().any(|word| word.as_bytes() == said)),
            Self::Number(number) => {
                value.kind == Kind::Number && value.of(text) == number.as_bytes()
            }
            Self::Digits => count(value, text, true).is_some(),
            Self::Text => matches!(value.kind, Kind::String | Kind::EscapedString),
        }
    }
}

/// What a string without escapes says.
fn string<'text>(value: &Value, text: &'text [u8]) -> Option<&'text [u8]> {
    (value.kind == Kind::String).then(|| value.of(text))
}

fn count(value: &Value, text: &[u8], is_text: bool) -> Option<u64> {
    let kind = if is_text { Kind::String } else { Kind::Number };
    let digits = value.of(text);
    if value.kind != kind || !(1..=MAX_DIGITS).contains(&digits.len()) {
        return None;
    }
    digits.iter().try_fold(0, |count, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        Some(count * 10 + digit)
    })
}
