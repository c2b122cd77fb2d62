//! What the caller is to hear: a queue, a bounded lead, marks, and a log of what was sent.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use super::collected::Collected;
use super::{
    Frame, KEPT, MarkTemplate, MediaTemplate, bytes_per_second, give_back, seconds, whole,
};
use crate::websocket::Writer;
use crate::{AudioFormat, Encoding, Error};

/// Sums of floats are off by less than this, in seconds.
const TINY: f64 = 1e-9;

/// How audio goes to a carrier.
#[derive(Debug, Clone)]
pub struct PlayoutConfig {
    /// The carrier's format.
    pub format: AudioFormat,
    /// Its message with audio.
    pub template: MediaTemplate,
    /// Its message that comes back when all before it was played; None if there is none.
    pub mark: Option<MarkTemplate>,
    /// Seconds of audio that are sent ahead of what is being played.
    pub lead: f64,
    /// Seconds from one mark to the next while audio is being sent.
    pub mark_every: f64,
    /// Seconds of audio that wait to be sent at most; what is beyond is dropped and counted.
    pub max_queued: f64,
}

/// What happened to the audio of the items, in the order in which it did; times are those of the calls, in seconds.
#[derive(Debug, Clone, PartialEq)]
pub enum Logged {
    /// Audio of an item was put into the queue.
    Queued {
        /// The item.
        item: Arc<str>,
        /// Bytes in the carrier's format.
        size: usize,
        /// When.
        at: f64,
    },
    /// Audio was sent.
    Sent {
        /// The item, or "" for the silence that fills up a frame.
        item: Arc<str>,
        /// Bytes in the carrier's format.
        size: usize,
        /// When.
        at: f64,
    },
    /// A mark was sent, behind all audio so far.
    Marked {
        /// How often the line was cleared, a colon, and how many bytes were sent since.
        name: String,
        /// When.
        at: f64,
    },
}

/// Bytes of one item.
#[derive(Debug)]
struct Part {
    item: Arc<str>,
    size: usize,
}

/// Sends audio to a carrier at the pace at which it is played.
///
/// Audio goes out at once while the carrier holds less than half of the lead; after that as much as fits goes in one message each time half
/// of the lead has been played. It has no timer: [`fill`](Self::fill) is to be called at [`due`](Self::due).
#[derive(Debug)]
pub struct Playout {
    config: PlayoutConfig,
    writer: Writer,
    bytes_per_second: f64,
    /// What is sent is a multiple of so many bytes.
    unit: usize,
    silence: u8,
    max_queued: usize,
    queue: VecDeque<u8>,
    parts: VecDeque<Part>,
    /// Whether no more comes of the item that was written last.
    is_finished: bool,
    is_held: bool,
    /// The last that was sent, for as long as it may be unheard.
    recent: VecDeque<u8>,
    recent_parts: VecDeque<Part>,
    max_recent: usize,
    /// When the carrier will have played all that it was sent.
    ends: f64,
    generation: u64,
    /// Bytes sent since the last clear, and how many of them stand before the last mark.
    sent: u64,
    marked: u64,
    last_mark: f64,
    log: VecDeque<Logged>,
    message: Vec<u8>,
    pub(super) collected: Collected,
    pub(super) counts: Counts,
}

/// What a playout has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) dropped: u64,
    pub(super) marks: u64,
}

impl Playout {
    /// Makes a playout; messages are those of a server.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if a duration cannot be kept, or a frame does not hold whole samples.
    pub fn new(config: PlayoutConfig) -> Result<Self, Error> {
        for (name, seconds, least) in [
            ("lead", config.lead, TINY),
            ("mark_every", config.mark_every, 0.0),
            ("max_queued", config.max_queued, TINY),
        ] {
            if !(least..=86_400.0).contains(&seconds) {
                let reason = format!("must be above 0 and a day at most, got {seconds} s");
                return Err(Error::setting(name, reason));
            }
        }
        let sample = config.format.sample_bytes();
        let unit = config.template.frame_bytes().unwrap_or(sample);
        if !unit.is_multiple_of(sample) {
            let reason = format!("must be a multiple of {sample}, got {unit}");
            return Err(Error::setting("frame_bytes", reason));
        }
        let bytes_per_second = bytes_per_second(config.format);
        Ok(Self {
            writer: Writer::server(),
            bytes_per_second,
            unit,
            silence: match config.format.encoding() {
                Encoding::Linear16 => 0,
                Encoding::Mulaw => 0xFF,
                Encoding::Alaw => 0xD5,
            },
            max_queued: whole(config.max_queued * bytes_per_second),
            max_recent: whole(2.0 * config.lead * bytes_per_second) + unit,
            config,
            queue: VecDeque::new(),
            parts: VecDeque::new(),
            is_finished: false,
            is_held: false,
            recent: VecDeque::new(),
            recent_parts: VecDeque::new(),
            ends: f64::NEG_INFINITY,
            generation: 0,
            sent: 0,
            marked: 0,
            last_mark: f64::NEG_INFINITY,
            log: VecDeque::new(),
            message: Vec::new(),
            collected: Collected::default(),
            counts: Counts::default(),
        })
    }

    /// The carrier's format.
    #[must_use]
    pub const fn format(&self) -> AudioFormat {
        self.config.format
    }

    /// Bytes that wait to be sent.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Bytes that wait at most.
    #[must_use]
    pub const fn max_queued(&self) -> usize {
        self.max_queued
    }

    /// Seconds of what was sent that have not been played, if the carrier plays without a pause.
    #[must_use]
    pub fn ahead(&self, now: f64) -> f64 {
        (self.ends - now).max(0.0)
    }

    /// Puts audio of an item, in the carrier's format, behind what waits.
    pub fn queue(&mut self, item: &Arc<str>, audio: &[u8], now: f64) {
        let room = self.max_queued.saturating_sub(self.queue.len());
        let size = audio.len().min(room);
        self.counts.dropped += (audio.len() - size) as u64;
        self.is_finished = false;
        if size == 0 {
            return;
        }
        self.queue.extend(&audio[..size]);
        push(&mut self.parts, item, size);
        match self.log.back_mut() {
            Some(Logged::Queued {
                item: last,
                size: before,
                ..
            }) if *last == *item => *before += size,
            _ => self.log.push_back(Logged::Queued {
                item: item.clone(),
                size,
                at: now,
            }),
        }
    }

    /// No more comes of the item that was written last: its last, partial frame may go, and a mark follows it.
    pub fn finish(&mut self) {
        self.is_finished = true;
    }

    /// Appends the messages that may go now: audio as far as the lead allows, and a mark if its time has come.
    pub fn fill(&mut self, now: f64, out: &mut Vec<u8>) {
        if self.is_held {
            return;
        }
        let ahead = self.ahead(now);
        if !self.queue.is_empty() && ahead <= self.config.lead / 2.0 + TINY {
            let room = whole((self.config.lead - ahead) * self.bytes_per_second);
            self.send(room / self.unit * self.unit, now, out);
        }
        let is_over = self.is_finished && self.queue.is_empty();
        let is_time = is_over || now - self.last_mark >= self.config.mark_every - TINY;
        if is_time && self.sent > self.marked {
            self.mark(now, out);
        }
    }

    /// Appends a mark, which will come back when all that was sent has been played; nothing if the carrier has no marks.
    pub fn mark(&mut self, now: f64, out: &mut Vec<u8>) {
        let Some(template) = &self.config.mark else {
            return;
        };
        let name = format!("{}:{}", self.generation, self.sent);
        template.write(&name, &mut self.writer, out);
        self.marked = self.sent;
        self.last_mark = now;
        self.counts.marks += 1;
        self.log.push_back(Logged::Marked { name, at: now });
    }

    /// When [`fill`](Self::fill) has something to send again; None while nothing waits that could be sent.
    #[must_use]
    pub fn due(&self) -> Option<f64> {
        let is_sendable =
            self.queue.len() >= self.unit || self.is_finished && !self.queue.is_empty();
        (is_sendable && !self.is_held).then(|| self.ends - self.config.lead / 2.0)
    }

    /// Drops what waits and what is held, and forgets what was sent, as the carrier does; how many bytes were dropped.
    pub fn clear(&mut self, now: f64) -> usize {
        let dropped = self.queue.len();
        self.queue = VecDeque::new();
        self.parts.clear();
        self.is_held = false;
        self.is_finished = false;
        self.begin_anew(now);
        dropped
    }

    /// Falls silent, but keeps what waits, and the last `unheard` bytes that were sent, which will be sent again.
    ///
    /// As many are kept as twice the lead holds; the silence that filled up a frame is not.
    pub fn hold(&mut self, unheard: usize, now: f64) {
        if self.is_held {
            return;
        }
        let mut left = unheard.min(self.recent.len());
        while left > 0 {
            let Some(part) = self.recent_parts.pop_back() else {
                break;
            };
            let size = part.size.min(left);
            let audio = self.recent.split_off(self.recent.len() - size);
            left -= size;
            if !part.item.is_empty() {
                for &byte in audio.iter().rev() {
                    self.queue.push_front(byte);
                }
                self.parts.push_front(Part { size, ..part });
            }
        }
        self.is_held = true;
        self.begin_anew(now);
    }

    /// Goes on with what [`hold`](Self::hold) has kept; [`fill`](Self::fill) sends it.
    pub fn release(&mut self) {
        self.is_held = false;
    }

    /// What happened since this was last called.
    pub fn take_log(&mut self) -> VecDeque<Logged> {
        mem::take(&mut self.log)
    }

    /// The audio that was sent since this was last called, if it is collected.
    pub fn take_frames(&mut self) -> VecDeque<Frame> {
        self.collected.take()
    }

    fn begin_anew(&mut self, now: f64) {
        self.generation += 1;
        (self.sent, self.marked) = (0, 0);
        self.ends = now;
        self.last_mark = f64::NEG_INFINITY;
        self.recent.clear();
        self.recent_parts.clear();
    }

    /// Sends whole units, `room` bytes at most but at least one; the partial one at the end of all that will come is filled up.
    fn send(&mut self, room: usize, now: f64, out: &mut Vec<u8>) {
        let room = room.max(self.unit);
        let rest = self.queue.len() % self.unit;
        let mut size = room.min(self.queue.len() - rest);
        let mut padding = 0;
        if rest > 0 && size + rest == self.queue.len() && size < room && self.is_finished {
            size = self.queue.len();
            padding = self.unit - rest;
        }
        if size == 0 {
            return;
        }
        let mut message = mem::take(&mut self.message);
        message.clear();
        give_back(&mut message);
        let (first, second) = self.queue.as_slices();
        let split = size.min(first.len());
        message.extend_from_slice(&first[..split]);
        message.extend_from_slice(&second[..size - split]);
        message.resize(size + padding, self.silence);
        self.queue.drain(..size);
        if self.queue.is_empty() && self.queue.capacity() > KEPT {
            self.queue = VecDeque::new();
        }
        self.account(size, padding, now);
        self.counts.messages += self.config.template.write(&message, &mut self.writer, out);
        self.counts.bytes += message.len() as u64;
        self.collected.keep(&message, now);
        self.recent.extend(&message);
        let excess = self.recent.len().saturating_sub(self.max_recent);
        self.recent.drain(..excess);
        shorten(&mut self.recent_parts, excess, |_, _| {});
        self.sent += message.len() as u64;
        self.ends = self.ends.max(now) + seconds(message.len(), self.bytes_per_second);
        self.message = message;
    }

    /// Writes down which items were sent.
    fn account(&mut self, size: usize, padding: usize, now: f64) {
        let (log, recent) = (&mut self.log, &mut self.recent_parts);
        let mut sent = |item: &Arc<str>, size| {
            push(recent, item, size);
            log.push_back(Logged::Sent {
                item: item.clone(),
                size,
                at: now,
            });
        };
        shorten(&mut self.parts, size, &mut sent);
        if padding > 0 {
            sent(&Arc::from(""), padding);
        }
    }
}

/// Adds bytes of an item at the end.
fn push(parts: &mut VecDeque<Part>, item: &Arc<str>, size: usize) {
    match parts.back_mut() {
        Some(last) if last.item == *item => last.size += size,
        _ => parts.push_back(Part {
            item: item.clone(),
            size,
        }),
    }
}

/// Takes bytes away at the front, and tells which.
fn shorten(parts: &mut VecDeque<Part>, mut size: usize, mut taken: impl FnMut(&Arc<str>, usize)) {
    while let Some(first) = parts.front_mut().filter(|_| size > 0) {
        let part = first.size.min(size);
        taken(&first.item, part);
        first.size -= part;
        size -= part;
        if first.size == 0 {
            parts.pop_front();
        }
    }
}
