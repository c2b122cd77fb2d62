//! Messages made into frames.

use std::fmt;

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};

use super::{
    FIN, InvalidControl, LENGTH_16, LENGTH_64, MASKED, MAX_CONTROL, MessageKind, NO_STATUS,
    is_close_code, mask,
};

/// Makes frames of the messages that one end of a WebSocket sends, each in one frame.
///
/// It appends to the caller's buffer, so that several messages leave together, and holds nothing but the source of the masking keys.
pub struct Writer {
    keys: Option<ChaCha8Rng>,
}

impl fmt::Debug for Writer {
    // The state of the source would tell the keys to come.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = if self.keys.is_some() {
            "client"
        } else {
            "server"
        };
        write!(f, "Writer({role})")
    }
}

impl Writer {
    /// Writes a client's frames. Masking keys must not be foreseen (RFC 6455, section 10.3): `seed` is the system's randomness.
    #[must_use]
    pub fn client(seed: [u8; 32]) -> Self {
        let keys = Some(ChaCha8Rng::from_seed(seed));
        Self { keys }
    }

    /// Writes a server's frames, which have no mask.
    #[must_use]
    pub const fn server() -> Self {
        Self { keys: None }
    }

    /// Appends a text or binary message. Text is UTF-8; that is for the caller to know.
    pub fn message(&mut self, kind: MessageKind, payload: &[u8], out: &mut Vec<u8>) {
        write_frame(kind, payload, self.key(), out);
    }

    /// Appends a ping or a pong.
    ///
    /// # Errors
    ///
    /// [`InvalidControl::TooLong`]; nothing was appended then.
    pub fn control(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), InvalidControl> {
        fits(payload.len(), MAX_CONTROL)?;
        write_frame(kind, payload, self.key(), out);
        Ok(())
    }

    /// Appends a close frame; with [`NO_STATUS`] it carries nothing.
    ///
    /// # Errors
    ///
    /// The code is none that may be sent, or the reason is longer than 123 bytes, or there is one without a code; nothing was appended then.
    pub fn close(
        &mut self,
        code: u16,
        reason: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), InvalidControl> {
        if code == NO_STATUS && reason.is_empty() {
            write_frame(MessageKind::Close, &[], self.key(), out);
            return Ok(());
        }
        if !is_close_code(code) {
            return Err(InvalidControl::CloseCode(code));
        }
        fits(reason.len(), MAX_CONTROL - 2)?;
        let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
        write_frame(MessageKind::Close, &payload, self.key(), out);
        Ok(())
    }

    /// Appends a text message of exactly `len` bytes that `write` appends, without a copy of it between.
    pub(crate) fn text_with(
        &mut self,
        len: usize,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let key = self.key();
        head(MessageKind::Text, len, key, out);
        let start = out.len();
        out.reserve(len);
        write(out);
        debug_assert_eq!(
            out.len(),
            start + len,
            "a frame is as long as its head says"
        );
        if let Some(key) = key {
            mask(&mut out[start..], key);
        }
    }

    fn key(&mut self) -> Option<[u8; 4]> {
        self.keys.as_mut().map(|keys| keys.next_u32().to_ne_bytes())
    }
}

/// Appends one frame, masked with a key of the caller's if there is one.
pub fn write_frame(kind: MessageKind, payload: &[u8], key: Option<[u8; 4]>, out: &mut Vec<u8>) {
    head(kind, payload.len(), key, out);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = key {
        mask(&mut out[start..], key);
    }
}

fn head(kind: MessageKind, len: usize, key: Option<[u8; 4]>, out: &mut Vec<u8>) {
    let masked = if key.is_some() { MASKED } else { 0 };
    out.push(FIN | kind.opcode());
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(short @ ..LENGTH_16), _) => out.push(masked | short),
        (_, Ok(middle)) => {
            out.push(masked | LENGTH_16);
            out.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            out.push(masked | LENGTH_64);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    if let Some(key) = key {
        out.extend_from_slice(&key);
    }
}

fn fits(len: usize, limit: usize) -> Result<(), InvalidControl> {
    if len > limit {
        return Err(InvalidControl::TooLong { len, limit });
    }
    Ok(())
}
