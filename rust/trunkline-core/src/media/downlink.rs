//! Provider to caller.

use std::sync::Arc;

use super::{MediaShape, Playout, PlayoutConfig, Read, give_back};
use crate::websocket::{MessageKind, Parser, WebSocketError};
use crate::{AudioFormat, Error, StreamConverter};

/// What has gone through a downlink.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct DownlinkStats {
    /// Messages with audio that were taken from the provider's socket.
    pub received_messages: u64,
    /// Bytes of audio that the provider sent, in its format.
    pub received_bytes: u64,
    /// Messages with audio that went to the carrier.
    pub sent_messages: u64,
    /// Bytes of audio that went to the carrier, in its format.
    pub sent_bytes: u64,
    /// Bytes of audio that were dropped because too much waited, in the carrier's format.
    pub dropped_bytes: u64,
    /// Marks that went to the carrier.
    pub marks: u64,
    /// When the provider's last audio came, in seconds.
    pub last_at: Option<f64>,
}

/// Takes a provider's bytes and makes a carrier's of them.
///
/// Audio of the one item that is admitted is converted and queued; anything else is control, and so is all audio while the gate is shut.
/// The provider's side may be replaced while the carrier's goes on.
#[derive(Debug)]
pub struct Downlink {
    playout: Playout,
    provider: Option<Provider>,
    admitted: Option<Admitted>,
    /// The item that was written last and is not finished.
    writing: Option<Arc<str>>,
    read: Read,
    made: Vec<u8>,
    stats: DownlinkStats,
}

#[derive(Debug)]
struct Provider {
    shape: MediaShape,
    converter: StreamConverter,
}

#[derive(Debug)]
struct Admitted {
    response_id: Box<str>,
    item: Arc<str>,
}

impl Downlink {
    /// Makes a downlink that no provider feeds yet.
    ///
    /// # Errors
    ///
    /// As [`Playout::new`].
    pub fn new(config: PlayoutConfig) -> Result<Self, Error> {
        Ok(Self {
            playout: Playout::new(config)?,
            provider: None,
            admitted: None,
            writing: None,
            read: Read::default(),
            made: Vec::new(),
            stats: DownlinkStats::default(),
        })
    }

    /// Takes audio of this shape and format from now on; the gate is shut, and what is queued stays.
    pub fn connect(&mut self, shape: MediaShape, format: AudioFormat) {
        let converter = StreamConverter::new(format, self.playout.format());
        self.provider = Some(Provider { shape, converter });
        self.admitted = None;
    }

    /// Takes no audio any more: all is control.
    pub fn disconnect(&mut self) {
        self.provider = None;
        self.admitted = None;
    }

    /// Opens the gate for the audio of one item, and shuts it for any other.
    ///
    /// Both ids are compared where messages tell them, and the item's is written to the log in any case.
    pub fn admit(&mut self, response_id: &str, item_id: &str) {
        self.admitted = Some(Admitted {
            response_id: response_id.into(),
            item: item_id.into(),
        });
    }

    /// Shuts the gate: audio is control until the next [`admit`](Self::admit).
    pub fn shut(&mut self) {
        self.admitted = None;
    }

    /// Takes what was read from the provider's socket, which `parser` reads; see [`resume`](Self::resume).
    ///
    /// # Errors
    ///
    /// The provider broke the protocol; what came before was taken.
    pub fn feed(
        &mut self,
        data: &[u8],
        now: f64,
        parser: &mut Parser,
        out: &mut Vec<u8>,
    ) -> Result<Option<MessageKind>, WebSocketError> {
        parser.feed(data);
        self.resume(now, parser, out)
    }

    /// Goes on until all that was fed is done, or until a message that is not wanted audio: its kind is returned, and the parser has it.
    ///
    /// What may go to the carrier now is appended to `out`.
    ///
    /// # Errors
    ///
    /// The provider broke the protocol; what came before was taken.
    pub fn resume(
        &mut self,
        now: f64,
        parser: &mut Parser,
        out: &mut Vec<u8>,
    ) -> Result<Option<MessageKind>, WebSocketError> {
        let end = loop {
            match parser.next_message() {
                Ok(Some(kind)) if self.take(kind, parser.payload(), now) => {}
                end => break end,
            }
        };
        self.playout.fill(now, out);
        end
    }

    /// Takes audio that came another way, in the provider's format, or in the carrier's if it is `converted`.
    pub fn write(
        &mut self,
        item_id: &str,
        audio: &[u8],
        converted: bool,
        now: f64,
        out: &mut Vec<u8>,
    ) {
        let item = match &self.admitted {
            Some(admitted) if *admitted.item == *item_id => admitted.item.clone(),
            _ => Arc::from(item_id),
        };
        match &mut self.provider {
            Some(provider) if !converted => {
                convert(&mut provider.converter, audio, &mut self.made);
                self.playout.queue(&item, &self.made, now);
            }
            _ => self.playout.queue(&item, audio, now),
        }
        self.writing = Some(item);
        self.playout.fill(now, out);
    }

    /// No more comes of an item: what the converter still owes of it is queued, and its last, partial frame may go.
    ///
    /// Nothing happens if another item was written since, or this one was cleared.
    pub fn finish(&mut self, item_id: &str, now: f64, out: &mut Vec<u8>) {
        let Some(item) = self.writing.take_if(|item| **item == *item_id) else {
            return;
        };
        if let Some(provider) = &mut self.provider {
            let tail = provider.converter.flush();
            self.playout.queue(&item, &tail, now);
        }
        self.playout.finish();
        self.playout.fill(now, out);
    }

    /// Drops what waits, as the carrier does when it is told to clear; how many bytes were dropped. The gate stays as it is.
    pub fn clear(&mut self, now: f64) -> usize {
        self.writing = None;
        if let Some(provider) = &mut self.provider {
            provider.converter.reset();
        }
        self.playout.clear(now)
    }

    /// Switches the collecting of what is sent on or off.
    pub fn collect(&mut self, is_on: bool) {
        self.playout.collected.switch(is_on);
    }

    /// Queue, lead and marks.
    pub fn playout(&mut self) -> &mut Playout {
        &mut self.playout
    }

    /// What has gone through so far.
    #[must_use]
    pub fn stats(&self) -> DownlinkStats {
        let counts = self.playout.counts;
        DownlinkStats {
            sent_messages: counts.messages,
            sent_bytes: counts.bytes,
            dropped_bytes: counts.dropped,
            marks: counts.marks,
            ..self.stats
        }
    }

    /// Queues a message's audio; false if it is not wanted audio.
    fn take(&mut self, kind: MessageKind, payload: &[u8], now: f64) -> bool {
        let (Some(provider), Some(admitted)) = (&mut self.provider, &self.admitted) else {
            return false;
        };
        let (response, item) = (&*admitted.response_id, &*admitted.item);
        let read = &mut self.read;
        if !provider.shape.read(kind, payload, response, item, read) {
            return false;
        }
        self.stats.received_messages += 1;
        self.stats.received_bytes += read.audio.len() as u64;
        self.stats.last_at = Some(now);
        if self.writing.as_ref() != Some(&admitted.item) {
            self.writing = Some(admitted.item.clone());
        }
        if provider.converter.is_identity() {
            self.playout.queue(&admitted.item, &read.audio, now);
        } else {
            convert(&mut provider.converter, &read.audio, &mut self.made);
            self.playout.queue(&admitted.item, &self.made, now);
        }
        true
    }
}

/// Replaces what is in `made` by what the converter makes of a chunk.
pub(super) fn convert(converter: &mut StreamConverter, audio: &[u8], made: &mut Vec<u8>) {
    give_back(made);
    made.resize(converter.output_len(audio.len()), 0);
    let written = converter.convert_into(audio, made);
    debug_assert_eq!(written, Ok(made.len()));
}
