//! Finds values of a JSON text by their paths, in one pass, and builds nothing.
//!
//! It accepts only what is JSON (RFC 8259), and of that only what cannot be read in two ways: a parser that builds objects keeps the last
//! of two members of one name, so a text that has two of a name on a path is refused, as is one whose names on a path have escapes. Whoever
//! is refused a text gives it to such a parser.
//!
//! ```
//! use trunkline_core::scan::{Found, Paths};
//!
//! let paths = Paths::new(&["media.payload", "items.[].id"], false)?;
//! let mut found = Found::default();
//! let text = br#"{"media": {"payload": "AAAA"}, "items": [{"id": 7}]}"#;
//! paths.find(text, &mut found).unwrap();
//! assert_eq!(found.get(0).map(|value| value.of(text)), Some(&b"AAAA"[..]));
//! assert_eq!(found.get(1).map(|value| value.of(text)), Some(&b"7"[..]));
//! # Ok::<(), trunkline_core::Error>(())
//! ```

use std::fmt;
use std::ops::Range;

use crate::Error;

mod walk;

use walk::Scan;

/// Objects and arrays that may stand in one another.
pub const MAX_DEPTH: usize = 64;

/// Members that may be looked for in one object.
const MAX_MEMBERS: usize = 32;

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string without escapes: its bytes are its characters.
    String,
    /// A string with escapes, which are not taken out.
    EscapedString,
    /// A number, as it is written.
    Number,
    /// `true`, `false` or `null`.
    Word,
    /// An object.
    Object,
    /// An array.
    Array,
}

/// A value that was found, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// What it is.
    pub kind: Kind,
    /// Where it is; a string is without its quotes.
    pub at: Range<usize>,
}

impl Value {
    /// Its bytes in the text in which it was found.
    #[must_use]
    pub fn of<'text>(&self, text: &'text [u8]) -> &'text [u8] {
        text.get(self.at.clone()).unwrap_or_default()
    }
}

/// The values of the last text, by the number of their path; kept from text to text for its memory.
#[derive(Debug, Clone, Default)]
pub struct Found(Vec<Option<Value>>);

impl Found {
    /// What stands at a path, if anything does.
    #[must_use]
    pub fn get(&self, path: usize) -> Option<&Value> {
        self.0.get(path)?.as_ref()
    }
}

/// Why nothing is said of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// It is not JSON, or holds a number or a depth that parsers differ about.
    NotJson,
    /// A name on a path has escapes, or a string has an escaped surrogate, which parsers differ about.
    Escaped,
    /// Two members of one name are on a path, or two elements of one array hold something that is looked for.
    Ambiguous,
    /// There is a member that no path names, and paths are closed.
    Unexpected,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotJson => "not JSON that all parsers read alike",
            Self::Escaped => "an escape where none can be read",
            Self::Ambiguous => "two values for one path",
            Self::Unexpected => "a member that no path names",
        })
    }
}

impl std::error::Error for Refusal {}

/// Paths that are looked for together.
///
/// A path is written as the names of members with dots between, `[3]` for an element of an array and `[]` for any element, as in
/// `serverContent.modelTurn.parts.[].inlineData.data`.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The first is the root.
    nodes: Vec<Node>,
    len: usize,
    is_closed: bool,
}

/// A place that paths lead to or through.
#[derive(Debug, Clone, Default)]
struct Node {
    members: Vec<(Box<[u8]>, usize)>,
    any_element: Option<usize>,
    elements: Vec<(usize, usize)>,
    /// The numbers of the paths that end here.
    paths: Vec<usize>,
}

impl Paths {
    /// Reads paths.
    ///
    /// Where they are closed, a text is refused if an object on a path has a member that no path names, or an array on a path that is
    /// looked into has more than one element: so it is known that nothing else is said.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if one cannot be read, or looks for both any and a certain element of one array.
    pub fn new<T: AsRef<str>>(paths: &[T], is_closed: bool) -> Result<Self, Error> {
        let mut new = Self {
            nodes: vec![Node::default()],
            len: paths.len(),
            is_closed,
        };
        for (number, path) in paths.iter().enumerate() {
            let mut node = 0;
            for step in path.as_ref().split('.') {
                node = new.step(node, step).map_err(|reason| {
                    Error::setting("path", format!("{reason}, got {:?}", path.as_ref()))
                })?;
            }
            new.nodes[node].paths.push(number);
        }
        Ok(new)
    }

    /// Looks through a text, which is UTF-8.
    ///
    /// # Errors
    ///
    /// Nothing is said of the text; what `found` holds then means nothing.
    pub fn find(&self, text: &[u8], found: &mut Found) -> Result<(), Refusal> {
        found.0.clear();
        found.0.resize(self.len, None);
        Scan::new(text, self, &mut found.0).whole()
    }

    /// The node that a step leads to, made if it is new.
    fn step(&mut self, node: usize, step: &str) -> Result<usize, &'static str> {
        let new = self.nodes.len();
        let here = &mut self.nodes[node];
        let known = match step
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            None if step.is_empty() => return Err("a path has names between its dots"),
            None if here.members.len() == MAX_MEMBERS => return Err("too many members"),
            None => {
                let known = here
                    .members
                    .iter()
                    .find(|(name, _)| **name == *step.as_bytes());
                let known = known.map(|&(_, node)| node);
                if known.is_none() {
                    here.members.push((step.as_bytes().into(), new));
                }
                known
            }
            Some("") => here.any_element.replace(here.any_element.unwrap_or(new)),
            Some(index) => {
                let index = index
                    .parse()
                    .map_err(|_| "brackets hold an index or nothing")?;
                let known = here.elements.iter().find(|(known, _)| *known == index);
                let known = known.map(|&(_, node)| node);
                if known.is_none() {
                    here.elements.push((index, new));
                }
                known
            }
        };
        if here.any_element.is_some() && !here.elements.is_empty() {
            return Err("either any element of an array is looked for or certain ones");
        }
        Ok(known.unwrap_or_else(|| {
            self.nodes.push(Node::default());
            new
        }))
    }
}
