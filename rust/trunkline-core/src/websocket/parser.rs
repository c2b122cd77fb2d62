//! Bytes as they come, made into whole, checked messages.

use std::mem;
use std::ops::Range;

use super::{
    FIN, LENGTH_16, LENGTH_64, MASKED, MAX_CONTROL, MessageKind, Role, WebSocketError,
    close_status, is_close_code, mask,
};

/// Memory that is kept from one message to the next; more than that is given back.
const KEPT: usize = 64 * 1024;

const RESERVED: u8 = 0x70;

const CONTINUATION: u8 = 0;

/// Makes messages of the bytes that one end of a WebSocket receives, however they are cut.
///
/// Fragments are joined, masks taken off, text checked to be UTF-8 as its fragments come, and limits kept: a frame that is too large is
/// refused as soon as its length is known. After a close frame, or an error, whatever follows is ignored.
#[derive(Debug)]
pub struct Parser {
    role: Role,
    max_size: usize,
    buffer: Vec<u8>,
    /// Where in the buffer the next frame begins.
    next: usize,
    /// Where the payload of the last message is; in `joined` if `is_joined`.
    payload: Range<usize>,
    is_joined: bool,
    joined: Vec<u8>,
    /// The kind of message whose fragments are being joined.
    joining: Option<MessageKind>,
    /// How many bytes of `joined` are known to be UTF-8.
    checked: usize,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Closed,
    Failed(WebSocketError),
}

/// The head of a frame that has come in whole.
struct Frame {
    is_final: bool,
    /// None: it continues a message.
    kind: Option<MessageKind>,
    payload: Range<usize>,
}

impl Parser {
    /// Makes a parser for one end of a connection.
    ///
    /// `max_size` is how many bytes a text or binary message may have, all its fragments together.
    #[must_use]
    pub fn new(role: Role, max_size: usize) -> Self {
        Self {
            role,
            max_size,
            buffer: Vec::new(),
            next: 0,
            payload: 0..0,
            is_joined: false,
            joined: Vec::new(),
            joining: None,
            checked: 0,
            end: None,
        }
    }

    /// Takes bytes of the socket; [`next_message`](Self::next_message) makes messages of them. The last message's payload is forgotten.
    pub fn feed(&mut self, data: &[u8]) {
        if self.end.is_some() {
            return;
        }
        self.payload = 0..0;
        self.buffer.drain(..self.next);
        self.next = 0;
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT {
            self.buffer = Vec::new();
        }
        if self.joining.is_none() && self.joined.capacity() > KEPT {
            self.joined = Vec::new();
        }
        self.buffer.extend_from_slice(data);
    }

    /// The kind of the next whole message, whose bytes are [`payload`](Self::payload) then; None if more bytes are needed.
    ///
    /// # Errors
    ///
    /// The other side broke the protocol. The same error is returned ever after.
    pub fn next_message(&mut self) -> Result<Option<MessageKind>, WebSocketError> {
        self.payload = 0..0;
        match self.end {
            Some(End::Closed) => return Ok(None),
            Some(End::Failed(error)) => return Err(error),
            None => {}
        }
        let read = self.read();
        match read {
            Ok(Some(MessageKind::Close)) => self.end = Some(End::Closed),
            Err(error) => {
                self.end = Some(End::Failed(error));
                self.buffer = Vec::new();
                self.joined = Vec::new();
                self.next = 0;
            }
            Ok(_) => {}
        }
        read
    }

    /// The bytes of the message that [`next_message`](Self::next_message) has just returned: unmasked, and UTF-8 if it is text.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        let from = if self.is_joined {
            &self.joined
        } else {
            &self.buffer
        };
        from.get(self.payload.clone()).unwrap_or_default()
    }

    /// Whether nothing more will be read, because of a close frame or an error.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// How many bytes a message may have.
    #[must_use]
    pub fn max_size(&self) -> usize {
        self.max_size
    }

    fn read(&mut self) -> Result<Option<MessageKind>, WebSocketError> {
        while let Some(frame) = self.frame()? {
            let message = match frame.kind {
                Some(kind @ (MessageKind::Close | MessageKind::Ping | MessageKind::Pong)) => {
                    self.whole(frame.payload, kind)?;
                    Some(kind)
                }
                Some(kind) if frame.is_final => {
                    self.whole(frame.payload, kind)?;
                    Some(kind)
                }
                _ => self.fragment(&frame)?,
            };
            if message.is_some() {
                return Ok(message);
            }
        }
        Ok(None)
    }

    /// The next frame, unmasked and taken from the buffer; None if it has not come in whole.
    fn frame(&mut self) -> Result<Option<Frame>, WebSocketError> {
        let bytes = &self.buffer[self.next..];
        let &[first, second, ref rest @ ..] = bytes else {
            return Ok(None);
        };
        let (is_final, kind) = self.kind(first)?;
        let is_masked = second & MASKED != 0;
        if is_masked != (self.role == Role::Server) {
            return Err(WebSocketError::Protocol(match self.role {
                Role::Server => "a client's frame without a mask",
                Role::Client => "a server's frame with a mask",
            }));
        }
        let Some((len, rest)) = length(second & !MASKED, rest) else {
            return Ok(None);
        };
        let len = self.checked_len(len, kind, is_final)?;
        let (key, rest) = match rest.split_first_chunk() {
            _ if !is_masked => (None, rest),
            Some((&key, rest)) => (Some(key), rest),
            None => return Ok(None),
        };
        if rest.len() < len {
            return Ok(None);
        }
        let start = self.buffer.len() - rest.len();
        let payload = start..start + len;
        self.next = payload.end;
        if let Some(key) = key {
            mask(&mut self.buffer[payload.clone()], key);
        }
        Ok(Some(Frame {
            is_final,
            kind,
            payload,
        }))
    }

    /// What the first byte of a frame says, if it may be said now.
    fn kind(&self, first: u8) -> Result<(bool, Option<MessageKind>), WebSocketError> {
        if first & RESERVED != 0 {
            return Err(WebSocketError::Protocol("a reserved bit"));
        }
        let kind = match first & 0x0F {
            CONTINUATION if self.joining.is_none() => {
                return Err(WebSocketError::Protocol("a continuation of no message"));
            }
            CONTINUATION => None,
            1 | 2 if self.joining.is_some() => {
                return Err(WebSocketError::Protocol(
                    "a message within a fragmented one",
                ));
            }
            1 => Some(MessageKind::Text),
            2 => Some(MessageKind::Binary),
            8 => Some(MessageKind::Close),
            9 => Some(MessageKind::Ping),
            10 => Some(MessageKind::Pong),
            _ => return Err(WebSocketError::Protocol("an unknown opcode")),
        };
        Ok((first & FIN != 0, kind))
    }

    /// The length of a payload, if it is allowed. That it could have been written shorter (section 5.2) does no harm.
    fn checked_len(
        &self,
        len: u64,
        kind: Option<MessageKind>,
        is_final: bool,
    ) -> Result<usize, WebSocketError> {
        if len >> 63 != 0 {
            return Err(WebSocketError::Protocol("a length of 64 bits"));
        }
        let limit = self.max_size;
        let too_large = WebSocketError::TooLarge { limit };
        let len = usize::try_from(len).map_err(|_| too_large)?;
        match kind {
            Some(MessageKind::Close | MessageKind::Ping | MessageKind::Pong) => {
                if !is_final {
                    return Err(WebSocketError::Protocol("a fragmented control frame"));
                }
                if len > MAX_CONTROL {
                    return Err(WebSocketError::Protocol("a control frame that is too long"));
                }
            }
            Some(_) if len > limit => return Err(too_large),
            None if len > limit - self.joined.len() => return Err(too_large),
            _ => {}
        }
        Ok(len)
    }

    /// Takes a message of one frame.
    fn whole(&mut self, payload: Range<usize>, kind: MessageKind) -> Result<(), WebSocketError> {
        let bytes = &self.buffer[payload.clone()];
        match kind {
            MessageKind::Text => {
                str::from_utf8(bytes).map_err(|_| WebSocketError::InvalidUtf8)?;
            }
            MessageKind::Close => check_close(bytes)?,
            _ => {}
        }
        self.payload = payload;
        self.is_joined = false;
        Ok(())
    }

    /// Joins a fragment; the kind of the message if it is the last one.
    fn fragment(&mut self, frame: &Frame) -> Result<Option<MessageKind>, WebSocketError> {
        if frame.kind.is_some() {
            self.joining = frame.kind;
            self.joined.clear();
            self.checked = 0;
        }
        self.joined
            .extend_from_slice(&self.buffer[frame.payload.clone()]);
        if self.joining == Some(MessageKind::Text) {
            self.checked += match str::from_utf8(&self.joined[self.checked..]) {
                Ok(text) => text.len(),
                // A character may be cut by the border of two fragments.
                Err(error) if error.error_len().is_none() && !frame.is_final => error.valid_up_to(),
                Err(_) => return Err(WebSocketError::InvalidUtf8),
            };
        }
        if !frame.is_final {
            return Ok(None);
        }
        self.payload = 0..self.joined.len();
        self.is_joined = true;
        Ok(mem::take(&mut self.joining))
    }
}

/// The length of a payload and what follows it; None if it has not come in whole.
fn length(short: u8, rest: &[u8]) -> Option<(u64, &[u8])> {
    match short {
        LENGTH_16 => {
            let (len, rest) = rest.split_first_chunk()?;
            Some((u64::from(u16::from_be_bytes(*len)), rest))
        }
        LENGTH_64 => {
            let (len, rest) = rest.split_first_chunk()?;
            Some((u64::from_be_bytes(*len), rest))
        }
        len => Some((u64::from(len), rest)),
    }
}

/// RFC 6455, section 5.5.1.
fn check_close(payload: &[u8]) -> Result<(), WebSocketError> {
    if payload.is_empty() {
        return Ok(());
    }
    if payload.len() == 1 {
        return Err(WebSocketError::Protocol("a close frame with half a code"));
    }
    str::from_utf8(&payload[2..]).map_err(|_| WebSocketError::InvalidUtf8)?;
    if !is_close_code(close_status(payload).0) {
        return Err(WebSocketError::Protocol("a close code that is not allowed"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::write_frame;

    #[test]
    fn a_long_message_leaves_no_memory_behind() {
        let mut parser = Parser::new(Role::Client, 1 << 24);
        let mut bytes = Vec::new();
        write_frame(MessageKind::Binary, &vec![1; 1 << 20], None, &mut bytes);
        let mut read = Ok(None);
        for piece in bytes.chunks(32_768) {
            assert_eq!(read, Ok(None));
            parser.feed(piece);
            read = parser.next_message();
        }
        assert_eq!(read, Ok(Some(MessageKind::Binary)));
        assert_eq!(parser.payload().len(), 1 << 20);
        parser.feed(b"\x81\x04next");
        assert_eq!(parser.next_message(), Ok(Some(MessageKind::Text)));
        assert_eq!(parser.payload(), b"next");
        assert!(parser.buffer.capacity() <= KEPT);
    }
}
