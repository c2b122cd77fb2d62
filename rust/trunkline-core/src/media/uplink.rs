//! Caller to provider.

use std::collections::VecDeque;

use super::collected::Collected;
use super::history::History;
use super::provider::Provider;
use super::reorder::{Reorder, Turn};
use super::silence::Silence;
use super::throttle::Throttle;
use super::{Frame, MediaShape, MediaTemplate, Read, bytes_per_second, seconds, whole};
use crate::websocket::{MessageKind, Parser, WebSocketError, Writer};
use crate::{AudioFormat, Error, StreamConverter};

/// Seconds of audio that one turn sends at most, so that a long replay does not cost others their time.
const TURN: f64 = 1.0;

/// How a caller's audio is taken.
#[derive(Debug, Clone)]
pub struct UplinkConfig {
    /// The carrier's messages with audio.
    pub shape: MediaShape,
    /// The carrier's format.
    pub format: AudioFormat,
    /// Seconds of audio that are kept for a replay.
    pub history: f64,
    /// Seconds of audio that a message to the provider has at least; 0: it is sent as it comes.
    pub ptime: f64,
    /// The level below which audio is silence, in decibels relative to full scale; None: silence is not measured.
    pub quiet_dbfs: Option<f64>,
}

/// What has gone through an uplink.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct UplinkStats {
    /// Messages with audio that came.
    pub received_messages: u64,
    /// Bytes of audio that came, in the carrier's format.
    pub received_bytes: u64,
    /// Numbers of the carrier's counter that were skipped, whether or not they came later.
    pub missing: u64,
    /// Messages whose number is not above all before it: late or repeated.
    pub reordered: u64,
    /// Messages with audio that came after their turn, or twice, and were dropped.
    pub late: u64,
    /// Messages with audio that went to providers.
    pub sent_messages: u64,
    /// Bytes of audio that went to providers, in their formats.
    pub sent_bytes: u64,
    /// Bytes of audio that no provider was sent because they had left the history, in the carrier's format.
    pub dropped_bytes: u64,
    /// When the caller's last audio came, in seconds.
    pub last_at: Option<f64>,
}

/// Takes a carrier's bytes and makes a provider's of them.
///
/// All audio goes into a history, from which the provider is sent what it has not been sent. Positions are bytes of all the audio that
/// ever came, in the carrier's format. The provider's side may be replaced, and be sent again what the one before had heard.
#[derive(Debug)]
pub struct Uplink {
    shape: MediaShape,
    format: AudioFormat,
    read: Read,
    history: History,
    /// The position up to which providers were sent the audio.
    sent: u64,
    /// Whether more waits than one turn sends, so that live audio has to wait too.
    is_behind: bool,
    least: usize,
    most: usize,
    provider: Option<Provider>,
    order: Option<Reorder>,
    sequence: Option<u64>,
    silence: Option<Silence>,
    throttle: Throttle,
    collected: Collected,
    stats: UplinkStats,
}

impl Uplink {
    /// Makes an uplink without a provider: it only remembers.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if a duration cannot be kept, or the shape tells of responses and items, which a caller has not.
    pub fn new(config: UplinkConfig) -> Result<Self, Error> {
        for (name, seconds) in [("history", config.history), ("ptime", config.ptime)] {
            if !(0.0..=3_600.0).contains(&seconds) {
                let reason = format!("must be from 0 to an hour, got {seconds} s");
                return Err(Error::setting(name, reason));
            }
        }
        if config.history < TURN || config.ptime > TURN {
            let reason = "a second of audio, or more than a message has at least, is kept";
            return Err(Error::setting("history", reason));
        }
        if config.shape.has_ids() {
            return Err(Error::setting("shape", "a caller's audio has no ids"));
        }
        let rate = bytes_per_second(config.format);
        let sample = config.format.sample_bytes();
        let bytes = |seconds| whole(seconds * rate) / sample * sample;
        Ok(Self {
            order: config.shape.has_order().then(Reorder::default),
            silence: config
                .quiet_dbfs
                .map(|level| Silence::new(config.format, level)),
            shape: config.shape,
            format: config.format,
            read: Read::default(),
            history: History::new(bytes(config.history)),
            sent: 0,
            is_behind: false,
            least: bytes(config.ptime).max(1),
            most: bytes(TURN),
            provider: None,
            sequence: None,
            throttle: Throttle::default(),
            collected: Collected::default(),
            stats: UplinkStats::default(),
        })
    }

    /// Sends to this provider from now on, from a position on, or only what will come.
    ///
    /// What waits then is sent by [`replay`](Self::replay), a second at a time, and live audio follows when it has all gone.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if the template wants frames of one length: a provider takes any.
    pub fn connect(
        &mut self,
        template: MediaTemplate,
        format: AudioFormat,
        writer: Writer,
        position: Option<u64>,
    ) -> Result<(), Error> {
        if template.frame_bytes().is_some() {
            return Err(Error::setting("template", "a provider takes any length"));
        }
        let converter = StreamConverter::new(self.format, format);
        self.provider = Some(Provider::new(template, converter, writer));
        let (start, end) = (self.start_of_sample(), self.history.end());
        let sample = self.format.sample_bytes() as u64;
        let position = position.unwrap_or(end).min(end) / sample * sample;
        let position = position.max(start);
        self.stats.dropped_bytes += position.saturating_sub(self.sent);
        self.sent = position;
        self.is_behind = end - position >= sample;
        Ok(())
    }

    /// Sends nothing any more, and only remembers.
    pub fn disconnect(&mut self) {
        self.provider = None;
        self.is_behind = false;
    }

    /// Takes what was read from the carrier's socket, which `parser` reads; see [`resume`](Self::resume).
    ///
    /// # Errors
    ///
    /// The carrier broke the protocol; what came before was taken.
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

    /// Goes on until all that was fed is done, or until a message that is not audio: its kind is returned, and the parser has it.
    ///
    /// What came together goes to the provider in one message, which is appended to `out`.
    ///
    /// # Errors
    ///
    /// The carrier broke the protocol; what came before was taken.
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
        self.send_live(out);
        end
    }

    /// Takes audio that came another way, in the carrier's format; `order` is its number, where the carrier does not keep order.
    pub fn push(&mut self, audio: &[u8], order: Option<u64>, now: f64, out: &mut Vec<u8>) {
        self.read.audio.clear();
        self.read.audio.extend_from_slice(audio);
        self.read.order = order;
        self.take_read(now);
        self.send_live(out);
    }

    /// The number of a message that is not audio, of the carrier's one counter for all.
    pub fn count(&mut self, number: u64) {
        let Some(last) = self.sequence else {
            self.sequence = Some(number);
            return;
        };
        if number <= last {
            self.stats.reordered += 1;
        } else {
            self.stats.missing += number - last - 1;
            self.sequence = Some(number);
        }
    }

    /// Sends the next second of what the provider has still to hear; nothing if it is not behind.
    pub fn replay(&mut self, out: &mut Vec<u8>) {
        if self.is_behind {
            self.send(out);
        }
    }

    /// Bytes that the provider has still to hear before live audio goes on; 0 if there is no provider, or it is not behind.
    #[must_use]
    pub fn behind(&self) -> u64 {
        if self.is_behind {
            self.history.end() - self.sent.max(self.history.start())
        } else {
            0
        }
    }

    /// Sends what is gathered for a message, and what the converter still owes, as where the caller's turn is ended by hand.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        while self.provider.is_some() && self.sent < self.history.end() {
            self.send(out);
        }
        if let Some(provider) = &mut self.provider {
            provider.flush(out, &mut self.stats);
        }
    }

    /// The position after the last audio that came.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.history.end()
    }

    /// The position from which audio is kept.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.history.start()
    }

    /// The position up to which providers were sent the audio.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Seconds of silence that the audio ends with; 0 if it is not measured.
    #[must_use]
    pub fn silent(&self) -> f64 {
        self.silence.as_ref().map_or(0.0, Silence::seconds)
    }

    /// The caller was heard by other means: silence begins anew.
    pub fn heard(&mut self) {
        if let Some(silence) = &mut self.silence {
            silence.reset();
        }
    }

    /// Seconds that reading the carrier's socket is to pause, because audio comes much faster than it is spoken; 0 in ordinary times.
    #[must_use]
    pub fn pause(&self, now: f64) -> f64 {
        self.throttle.pause(now)
    }

    /// Switches the collecting of what comes on or off.
    pub fn collect(&mut self, is_on: bool) {
        self.collected.switch(is_on);
    }

    /// The audio that came since this was last called, if it is collected.
    pub fn take_frames(&mut self) -> VecDeque<Frame> {
        self.collected.take()
    }

    /// What has gone through so far.
    #[must_use]
    pub fn stats(&self) -> UplinkStats {
        self.stats
    }

    /// Takes a message's audio; false if it is not audio.
    fn take(&mut self, kind: MessageKind, payload: &[u8], now: f64) -> bool {
        if !self.shape.read(kind, payload, "", "", &mut self.read) {
            return false;
        }
        if let Some(number) = self.read.counter {
            self.count(number);
        }
        self.take_read(now);
        true
    }

    fn take_read(&mut self, now: f64) {
        let audio = std::mem::take(&mut self.read.audio);
        self.stats.received_messages += 1;
        self.stats.received_bytes += audio.len() as u64;
        self.stats.last_at = Some(now);
        let rate = bytes_per_second(self.format);
        self.throttle.take(seconds(audio.len(), rate), now);
        match (&mut self.order, self.read.order) {
            (Some(order), Some(number)) => match order.take(number, &audio) {
                Turn::Now => self.hear(&audio, now),
                Turn::Waits => {}
                Turn::Late => self.stats.late += 1,
            },
            _ => self.hear(&audio, now),
        }
        while let Some(audio) = self.order.as_mut().and_then(Reorder::ready) {
            self.hear(&audio, now);
        }
        self.read.audio = audio;
    }

    /// Remembers audio whose turn it is.
    fn hear(&mut self, audio: &[u8], now: f64) {
        if let Some(silence) = &mut self.silence {
            silence.hear(audio);
        }
        self.collected.keep(audio, now);
        self.history.push(audio);
        let start = self.start_of_sample();
        if self.sent < start {
            self.stats.dropped_bytes += start - self.sent;
            self.sent = start;
        }
    }

    fn send_live(&mut self, out: &mut Vec<u8>) {
        let waiting = self.history.end() - self.sent;
        if !self.is_behind && waiting >= self.least as u64 {
            self.send(out);
        }
    }

    /// Sends what waits, a second of it at most.
    fn send(&mut self, out: &mut Vec<u8>) {
        let Some(provider) = &mut self.provider else {
            return;
        };
        let pieces = self.history.from(self.sent, self.most);
        provider.send(pieces, out, &mut self.stats);
        self.sent += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        self.is_behind = self.sent < self.history.end();
    }

    /// The position of the oldest whole sample that is kept.
    fn start_of_sample(&self) -> u64 {
        let sample = self.format.sample_bytes() as u64;
        self.history
            .start()
            .next_multiple_of(sample)
            .min(self.history.end())
    }
}
