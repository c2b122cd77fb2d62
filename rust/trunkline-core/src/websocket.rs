//! WebSocket frames (RFC 6455) without I/O: a [`Parser`] makes messages of bytes, a [`Writer`] makes frames of messages.
//!
//! The handshake is not part of it. No extension is spoken, so a reserved bit is an error.
//!
//! ```
//! use trunkline_core::websocket::{MessageKind, Parser, Role, Writer};
//!
//! let mut sent = Vec::new();
//! Writer::client([7; 32]).message(MessageKind::Text, b"hello", &mut sent);
//! let mut parser = Parser::new(Role::Server, 1 << 20);
//! parser.feed(&sent);
//! assert_eq!(parser.next_message(), Ok(Some(MessageKind::Text)));
//! assert_eq!(parser.payload(), b"hello");
//! assert_eq!(parser.next_message(), Ok(None));
//! ```

use std::fmt;

mod parser;
mod writer;

pub use parser::Parser;
pub use writer::{Writer, write_frame};

// The first two bytes of a frame (RFC 6455, section 5.2): the last fragment, and then whether there is a mask, and the two values in the
// place of a length that say that it follows in 16 or 64 bits.
const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const LENGTH_16: u8 = 0x7E;
const LENGTH_64: u8 = 0x7F;

/// Bytes that the payload of a control frame has at most (RFC 6455, section 5.5).
pub const MAX_CONTROL: usize = 125;

/// The code of a close frame that carries none (RFC 6455, section 7.4.1).
pub const NO_STATUS: u16 = 1005;

/// Which end of the connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It masks what it sends, and must not be sent masked frames.
    Client,
    /// It is sent masked frames only, and masks nothing.
    Server,
}

/// What kind of message was received, or is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
    /// The other side closes; see [`close_status`].
    Close,
    /// To be answered by a pong with the same payload.
    Ping,
    /// Answers a ping.
    Pong,
}

impl MessageKind {
    const fn opcode(self) -> u8 {
        match self {
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }
}

/// What the other side did that ends the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WebSocketError {
    /// It broke a rule of the protocol.
    Protocol(&'static str),
    /// A text, or the reason in a close frame, is not UTF-8.
    InvalidUtf8,
    /// A message is larger than this side allows.
    TooLarge {
        /// Bytes that a message may have.
        limit: usize,
    },
}

impl WebSocketError {
    /// The code that the other side is to be told (RFC 6455, section 7.4.1).
    #[must_use]
    pub const fn close_code(self) -> u16 {
        match self {
            Self::Protocol(_) => 1002,
            Self::InvalidUtf8 => 1007,
            Self::TooLarge { .. } => 1009,
        }
    }
}

impl fmt::Display for WebSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(reason) => f.write_str(reason),
            Self::InvalidUtf8 => f.write_str("text that is not UTF-8"),
            Self::TooLarge { limit } => write!(f, "a message of more than {limit} bytes"),
        }
    }
}

impl std::error::Error for WebSocketError {}

/// A control frame that must not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidControl {
    /// The payload, or a close frame's reason, has more bytes than a control frame carries.
    TooLong {
        /// How many there are.
        len: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A close frame cannot carry this code.
    CloseCode(u16),
}

impl fmt::Display for InvalidControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { len, limit } => {
                write!(f, "a control frame carries {limit} bytes here, got {len}")
            }
            Self::CloseCode(code) => write!(f, "a close frame cannot carry the code {code}"),
        }
    }
}

impl std::error::Error for InvalidControl {}

/// The code and the reason in the payload of a close frame that a [`Parser`] has checked; [`NO_STATUS`] and no reason if it is empty.
#[must_use]
pub fn close_status(payload: &[u8]) -> (u16, &str) {
    match payload {
        [high, low, reason @ ..] => (
            u16::from_be_bytes([*high, *low]),
            str::from_utf8(reason).unwrap_or_default(),
        ),
        _ => (NO_STATUS, ""),
    }
}

/// Whether a close frame may carry the code (RFC 6455, section 7.4; the IANA registry has 1012 to 1014 besides).
const fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// XORs a payload with its masking key (RFC 6455, section 5.3), which masks it or takes the mask off.
pub fn mask(payload: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (eights, rest) = payload.as_chunks_mut::<8>();
    for eight in eights {
        *eight = (u64::from_ne_bytes(*eight) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.into_iter().cycle()) {
        *byte ^= key;
    }
}
