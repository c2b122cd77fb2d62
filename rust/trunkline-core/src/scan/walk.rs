//! The way through a text.

use std::ops::Range;

use memchr::memchr2;

use super::{Kind, MAX_DEPTH, Paths, Refusal, Value};

/// Characters that a number may have: enough for any that is told in full, and no parser has a limit below.
const MAX_NUMBER: usize = 40;

/// Where the pass is, and what it has found.
pub(super) struct Scan<'a> {
    text: &'a [u8],
    at: usize,
    paths: &'a Paths,
    found: &'a mut [Option<Value>],
    /// How many values were found.
    count: usize,
}

pub(super) type Step = Result<(), Refusal>;

impl<'a> Scan<'a> {
    pub(super) fn new(text: &'a [u8], paths: &'a Paths, found: &'a mut [Option<Value>]) -> Self {
        Self {
            text,
            at: 0,
            paths,
            found,
            count: 0,
        }
    }

    /// The one value that the text is, from the root of the paths on.
    pub(super) fn whole(&mut self) -> Step {
        self.space();
        self.value(Some(0), MAX_DEPTH)?;
        self.space();
        if self.at < self.text.len() {
            return Err(Refusal::NotJson);
        }
        Ok(())
    }
    /// A value, which is at `node` of the paths or beside them.
    fn value(&mut self, node: Option<usize>, depth: usize) -> Step {
        let start = self.at;
        let kind = match self.peek()? {
            b'"' => {
                let (at, kind) = self.string()?;
                return self.note(node, kind, at);
            }
            b'{' => {
                self.object(node, depth)?;
                Kind::Object
            }
            b'[' => {
                self.array(node, depth)?;
                Kind::Array
            }
            b't' => self.word(b"true")?,
            b'f' => self.word(b"false")?,
            b'n' => self.word(b"null")?,
            _ => self.number()?,
        };
        self.note(node, kind, start..self.at)
    }

    fn note(&mut self, node: Option<usize>, kind: Kind, at: Range<usize>) -> Step {
        let Some(node) = node else {
            return Ok(());
        };
        for &path in &self.paths.nodes[node].paths {
            self.count += 1;
            let value = Value {
                kind,
                at: at.clone(),
            };
            if self.found[path].replace(value).is_some() {
                return Err(Refusal::Ambiguous);
            }
        }
        Ok(())
    }

    fn object(&mut self, node: Option<usize>, depth: usize) -> Step {
        let depth = depth.checked_sub(1).ok_or(Refusal::NotJson)?;
        let node = node.map(|node| &self.paths.nodes[node]);
        let node = node.filter(|node| !node.members.is_empty());
        let mut seen = 0_u32;
        self.at += 1;
        self.space();
        if self.takes(b'}') {
            return Ok(());
        }
        loop {
            if self.peek()? != b'"' {
                return Err(Refusal::NotJson);
            }
            let (name, kind) = self.string()?;
            let mut child = None;
            if let Some(node) = node {
                if kind == Kind::EscapedString {
                    return Err(Refusal::Escaped);
                }
                let name = &self.text[name];
                let member = node.members.iter().position(|(known, _)| **known == *name);
                if let Some(member) = member {
                    if seen & 1 << member != 0 {
                        return Err(Refusal::Ambiguous);
                    }
                    seen |= 1 << member;
                    child = Some(node.members[member].1);
                } else if self.paths.is_closed {
                    return Err(Refusal::Unexpected);
                }
            }
            self.space();
            if !self.takes(b':') {
                return Err(Refusal::NotJson);
            }
            self.space();
            self.value(child, depth)?;
            self.space();
            if self.takes(b'}') {
                return Ok(());
            }
            if !self.takes(b',') {
                return Err(Refusal::NotJson);
            }
            self.space();
        }
    }

    fn array(&mut self, node: Option<usize>, depth: usize) -> Step {
        let depth = depth.checked_sub(1).ok_or(Refusal::NotJson)?;
        let node = node.map(|node| &self.paths.nodes[node]);
        let is_closed = self.paths.is_closed && node.is_some_and(|node| node.any_element.is_some());
        let mut finding = 0;
        self.at += 1;
        self.space();
        if self.takes(b']') {
            return Ok(());
        }
        for index in 0_usize.. {
            if is_closed && index > 0 {
                return Err(Refusal::Unexpected);
            }
            let child = node.and_then(|node| {
                let certain = node.elements.iter().find(|(known, _)| *known == index);
                node.any_element.or(certain.map(|&(_, child)| child))
            });
            let before = self.count;
            self.value(child, depth)?;
            finding += usize::from(self.count > before);
            self.space();
            if self.takes(b']') {
                break;
            }
            if !self.takes(b',') {
                return Err(Refusal::NotJson);
            }
            self.space();
        }
        // What one path finds in one element has nothing to do with what another finds in the next.
        if finding > 1 && node.is_some_and(|node| node.any_element.is_some()) {
            return Err(Refusal::Ambiguous);
        }
        Ok(())
    }

    /// Where a string is, without its quotes.
    fn string(&mut self) -> Result<(Range<usize>, Kind), Refusal> {
        self.at += 1;
        let start = self.at;
        let mut kind = Kind::String;
        loop {
            let rest = &self.text[self.at..];
            let end = memchr2(b'"', b'\\', rest).ok_or(Refusal::NotJson)?;
            let least = rest[..end]
                .iter()
                .fold(u8::MAX, |least, &byte| least.min(byte));
            if least < b' ' {
                return Err(Refusal::NotJson);
            }
            self.at += end;
            if self.takes(b'"') {
                return Ok((start..self.at - 1, kind));
            }
            kind = Kind::EscapedString;
            self.escape()?;
        }
    }

    fn escape(&mut self) -> Step {
        let length = match &self.text[self.at + 1..] {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
            [b'u', a, b, c, d, ..] if [a, b, c, d].into_iter().all(u8::is_ascii_hexdigit) => {
                // D800 to DFFF: half of a character.
                if matches!(
                    (a, b),
                    (b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F')
                ) {
                    return Err(Refusal::Escaped);
                }
                6
            }
            _ => return Err(Refusal::NotJson),
        };
        self.at += length;
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<Kind, Refusal> {
        if !self.text[self.at..].starts_with(word) {
            return Err(Refusal::NotJson);
        }
        self.at += word.len();
        Ok(Kind::Word)
    }

    fn number(&mut self) -> Result<Kind, Refusal> {
        let start = self.at;
        self.takes(b'-');
        if !self.takes(b'0') {
            self.digits()?;
        }
        if self.takes(b'.') {
            self.digits()?;
        }
        if self.takes(b'e') || self.takes(b'E') {
            let _signed = self.takes(b'+') || self.takes(b'-');
            self.digits()?;
        }
        if self.at - start > MAX_NUMBER {
            return Err(Refusal::NotJson);
        }
        Ok(Kind::Number)
    }

    fn digits(&mut self) -> Step {
        let digits = self.text[self.at..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit());
        let count = digits.count();
        self.at += count;
        if count == 0 {
            return Err(Refusal::NotJson);
        }
        Ok(())
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Result<u8, Refusal> {
        self.text.get(self.at).copied().ok_or(Refusal::NotJson)
    }

    fn takes(&mut self, byte: u8) -> bool {
        let is_there = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(is_there);
        is_there
    }
}
