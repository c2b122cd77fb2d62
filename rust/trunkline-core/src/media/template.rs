//! How a message with audio is written.

use crate::Error;
use crate::base64;
use crate::websocket::{MessageKind, Writer};

/// A message around audio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaTemplate {
    form: Form,
    frame_bytes: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Text { head: String, tail: String },
    Binary,
}

impl MediaTemplate {
    /// A text message: the base64 of the audio between `head` and `tail`. Where there are frames, it holds whole ones.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if a frame has no bytes.
    pub fn text(head: String, tail: String, frame_bytes: Option<usize>) -> Result<Self, Error> {
        Self::new(Form::Text { head, tail }, frame_bytes)
    }

    /// A binary message: the audio as it is. Where there are frames, it holds exactly one.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if a frame has no bytes.
    pub fn binary(frame_bytes: Option<usize>) -> Result<Self, Error> {
        Self::new(Form::Binary, frame_bytes)
    }

    fn new(form: Form, frame_bytes: Option<usize>) -> Result<Self, Error> {
        if frame_bytes == Some(0) {
            return Err(Error::setting("frame_bytes", "a frame has at least a byte"));
        }
        Ok(Self { form, frame_bytes })
    }

    /// Bytes of a frame, if what is sent must be whole frames.
    #[must_use]
    pub const fn frame_bytes(&self) -> Option<usize> {
        self.frame_bytes
    }

    /// Appends the messages that carry `audio`, and returns how many they are; none if there is no audio.
    pub fn write(&self, audio: &[u8], writer: &mut Writer, out: &mut Vec<u8>) -> u64 {
        if audio.is_empty() {
            return 0;
        }
        match &self.form {
            Form::Text { head, tail } => {
                let len = head.len() + base64::encoded_len(audio.len()) + tail.len();
                writer.text_with(len, out, |out| {
                    out.extend_from_slice(head.as_bytes());
                    base64::append(audio, out);
                    out.extend_from_slice(tail.as_bytes());
                });
                1
            }
            Form::Binary => {
                let mut count = 0;
                for frame in audio.chunks(self.frame_bytes.unwrap_or(audio.len())) {
                    writer.message(MessageKind::Binary, frame, out);
                    count += 1;
                }
                count
            }
        }
    }
}

/// A text message around the name of a mark, which is digits and a colon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkTemplate {
    /// What stands before the name.
    pub head: String,
    /// What stands behind it.
    pub tail: String,
}

impl MarkTemplate {
    pub(super) fn write(&self, name: &str, writer: &mut Writer, out: &mut Vec<u8>) {
        let parts = [&self.head, name, &self.tail];
        let len = parts.iter().map(|part| part.len()).sum();
        writer.text_with(len, out, |out| {
            for part in parts {
                out.extend_from_slice(part.as_bytes());
            }
        });
    }
}
