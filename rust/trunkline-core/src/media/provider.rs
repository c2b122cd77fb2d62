//! The provider that an uplink sends to.

use std::mem;

use super::downlink::convert;
use super::{MediaTemplate, UplinkStats};
use crate::StreamConverter;
use crate::websocket::Writer;

/// Makes messages of the caller's audio.
#[derive(Debug)]
pub(super) struct Provider {
    template: MediaTemplate,
    converter: StreamConverter,
    writer: Writer,
    made: Vec<u8>,
    rest: Vec<u8>,
}

impl Provider {
    pub(super) const fn new(
        template: MediaTemplate,
        converter: StreamConverter,
        writer: Writer,
    ) -> Self {
        Self {
            template,
            converter,
            writer,
            made: Vec::new(),
            rest: Vec::new(),
        }
    }

    /// Appends a message with audio, which is given in two pieces.
    pub(super) fn send(&mut self, pieces: [&[u8]; 2], out: &mut Vec<u8>, stats: &mut UplinkStats) {
        let [first, second] = pieces;
        if self.converter.is_identity() {
            self.made.clear();
            self.made.extend_from_slice(first);
        } else {
            convert(&mut self.converter, first, &mut self.made);
        }
        if !second.is_empty() {
            convert(&mut self.converter, second, &mut self.rest);
            self.made.extend_from_slice(&self.rest);
        }
        let made = mem::take(&mut self.made);
        self.write(&made, out, stats);
        self.made = made;
    }

    /// Ends the stream: appends what the converter still owes of it.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>, stats: &mut UplinkStats) {
        let tail = self.converter.flush();
        self.write(&tail, out, stats);
    }

    fn write(&mut self, audio: &[u8], out: &mut Vec<u8>, stats: &mut UplinkStats) {
        stats.sent_messages += self.template.write(audio, &mut self.writer, out);
        stats.sent_bytes += audio.len() as u64;
    }
}
