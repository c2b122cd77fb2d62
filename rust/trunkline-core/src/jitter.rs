//! A buffer that turns frames as a network delivers them into frames as a telephone plays them: in order, one after another.
//!
//! Whoever receives writes packets into a ring and never waits for the player; whoever plays takes them out and alone sorts, conceals and counts.

use std::mem::{Discriminant, discriminant};

mod packet;
mod reorder;
mod stats;

use crate::arrival::Position;
use crate::conceal::{Concealer, Underrun};
use crate::ring::{Consumer, Gauge, Overflow, Producer, Ring};
use crate::{AudioFormat, Error};
use reorder::{Reorder, Settings};
pub use stats::{JitterGauge, JitterStats};

/// Packets of the ring beyond those that can be held in order: doubled ones, and those that come while the reader is late.
const SPARE_PACKETS: usize = 16;

/// A jitter buffer that is yet to be divided: one thread gets the [`JitterWriter`], another the [`JitterReader`], and neither waits for the other.
///
/// It holds frames back until enough of them are there to ride out the network's jitter, puts them in order and fills in those that are lost.
/// It knows no clock: each call says what time it is, in milliseconds from any beginning.
///
/// - A frame waits until `target_ms` of audio are held, or the oldest has waited that long; then each [`pop`](JitterReader::pop) gives the next.
/// - What is given for a frame that is missing when its turn comes, and when nothing is left (an underrun), is said by [`Underrun`]. After an
///   underrun it is given until the target depth is reached again; no frame's turn is lost meanwhile.
/// - The target follows the measured jitter, from `target_ms` to half of `max_ms`. If more than the target (and a frame) was held all through
///   half a second, a frame is left out; what happens beyond `max_ms` is said by [`Overflow`].
/// - Numbers that jump by more than 3,000 frames ahead or 100 behind, twice in order, are those of a stream that begins anew.
///
/// ```
/// use trunkline_core::{AudioFormat, Encoding, JitterBuffer, Position};
///
/// let phone = AudioFormat::new(Encoding::Mulaw, 8_000, 1)?;
/// let (mut writer, mut reader) = JitterBuffer::new(phone).target_ms(40).split()?;
/// writer.push(&[2; 160], Position::Sequence(1), 0.0)?;
/// assert_eq!(reader.pop(10.0), None); // 20 ms are not 40
/// writer.push(&[1; 160], Position::Sequence(0), 15.0)?;
/// assert_eq!(reader.pop(20.0), Some(&[1; 160][..]));
/// assert_eq!(reader.pop(40.0), Some(&[2; 160][..]));
/// # Ok::<(), trunkline_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use = "a jitter buffer is used through its two sides"]
pub struct JitterBuffer {
    format: AudioFormat,
    target_ms: u32,
    max_ms: u32,
    frame_ms: u32,
    overflow: Overflow,
    underrun: Underrun,
}

impl JitterBuffer {
    /// Describes a buffer for frames of 20 ms that collects 60 ms and holds at most a second, drops the oldest frames and holds the last sound.
    pub fn new(format: AudioFormat) -> Self {
        Self {
            format,
            target_ms: 60,
            max_ms: 1_000,
            frame_ms: 20,
            overflow: Overflow::DropOldest,
            underrun: Underrun::Hold,
        }
    }

    /// Says how much audio is collected before the first frame is given out, the least that the target adapts to.
    pub fn target_ms(mut self, target_ms: u32) -> Self {
        self.target_ms = target_ms;
        self
    }

    /// Says how much audio is held at most.
    pub fn max_ms(mut self, max_ms: u32) -> Self {
        self.max_ms = max_ms;
        self
    }

    /// Says how long a frame is.
    pub fn frame_ms(mut self, frame_ms: u32) -> Self {
        self.frame_ms = frame_ms;
        self
    }

    /// Says what happens to frames that there is no room for. With [`Overflow::Block`] the writer waits until the reader has made room, and no
    /// frame is left out; the delay that a burst has brought stays then.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Says what is given in place of a frame that is missing.
    pub fn underrun(mut self, underrun: Underrun) -> Self {
        self.underrun = underrun;
        self
    }

    /// Makes the buffer and divides it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if frames are not from 1 to 200 ms, `max_ms` not from one to 3,000 frames, or `target_ms` is beyond it; or if
    /// there is no memory for so much.
    pub fn split(self) -> Result<(JitterWriter, JitterReader), Error> {
        let settings = self.settings()?;
        let packet_bytes = packet::len(settings.frame_bytes);
        let packets = settings.capacity() + SPARE_PACKETS;
        let (producer, consumer) = Ring::new(packets * packet_bytes)
            .overflow(self.overflow)
            .split()?;
        let writer = JitterWriter {
            ring: producer,
            packet: vec![0; packet_bytes],
            kind: None,
        };
        let concealer = Concealer::new(self.format, self.frame_ms, self.underrun);
        let reader = JitterReader {
            arrivals: consumer.gauge(),
            ring: consumer,
            packet: vec![0; packet_bytes],
            waits: false,
            taken: 0,
            reorder: Reorder::new(settings, concealer),
            gauge: JitterGauge::new(),
        };
        reader.publish();
        Ok((writer, reader))
    }

    fn settings(self) -> Result<Settings, Error> {
        let Self {
            format,
            target_ms,
            max_ms,
            frame_ms,
            overflow,
            ..
        } = self;
        if !(1..=200).contains(&frame_ms) {
            let reason = format!("must be from 1 to 200, got {frame_ms}");
            return Err(Error::setting("frame_ms", reason));
        }
        if !(frame_ms..=frame_ms * 3_000).contains(&max_ms) {
            let reason = format!("must be from 1 to 3,000 frames of {frame_ms} ms, got {max_ms}");
            return Err(Error::setting("max_ms", reason));
        }
        if target_ms > max_ms {
            let reason = format!("must not be more than max_ms, {max_ms}, got {target_ms}");
            return Err(Error::setting("target_ms", reason));
        }
        let frame_samples = format.sample_rate() * frame_ms / 1_000;
        Ok(Settings {
            frame_bytes: frame_samples as usize * format.sample_bytes(),
            frame_samples,
            frame_ms,
            target_ms,
            max_ms,
            overflow,
        })
    }
}

/// The side of a [`JitterBuffer`] that takes what the network delivers.
#[derive(Debug)]
pub struct JitterWriter {
    ring: Producer,
    /// The next packet, in one piece, so that the reader sees all of it or nothing.
    packet: Vec<u8>,
    /// By what the stream is numbered.
    kind: Option<Discriminant<Position>>,
}

impl JitterWriter {
    /// Bytes of a frame.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        packet::frame(&self.packet).len()
    }

    /// Takes a frame. It is put in order and counted when the reader next looks.
    ///
    /// # Errors
    ///
    /// [`Error::FrameLength`]; [`Error::InvalidSetting`] if the time is not finite, or positions of both kinds are mixed.
    pub fn push(&mut self, frame: &[u8], position: Position, now_ms: f64) -> Result<(), Error> {
        let (len, frame_bytes) = (frame.len(), self.frame_bytes());
        if len != frame_bytes {
            return Err(Error::FrameLength { len, frame_bytes });
        }
        if !now_ms.is_finite() {
            let reason = format!("must be finite, got {now_ms}");
            return Err(Error::setting("now_ms", reason));
        }
        if *self.kind.get_or_insert(discriminant(&position)) != discriminant(&position) {
            let reason = "a stream goes either by sequence or by timestamp, not by both";
            return Err(Error::setting("sequence", reason));
        }
        packet::encode(&mut self.packet, position, now_ms, frame);
        self.ring.write(&self.packet);
        Ok(())
    }
}

/// The side of a [`JitterBuffer`] that plays.
#[derive(Debug)]
pub struct JitterReader {
    ring: Consumer,
    arrivals: Gauge,
    /// The packet that was taken last.
    packet: Vec<u8>,
    /// Whether that packet still waits for room.
    waits: bool,
    /// Packets that were taken so far.
    taken: usize,
    reorder: Reorder,
    gauge: JitterGauge,
}

impl JitterReader {
    /// Bytes of a frame.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        packet::frame(&self.packet).len()
    }

    /// Gives out the frame whose turn it is, or what stands in for it.
    ///
    /// `None` before enough has been collected for the first time; with [`Underrun::None`] also in place of a missing frame.
    pub fn pop(&mut self, now_ms: f64) -> Option<&[u8]> {
        self.take_in();
        let given = self.reorder.pop(now_ms);
        self.publish();
        given.then(|| self.reorder.last())
    }

    /// Drops all that is held, as new but for the counts and the measured jitter, and returns how many frames that were.
    pub fn clear(&mut self) -> usize {
        self.take_in();
        let mut dropped = self.reorder.clear();
        if self.waits {
            self.waits = false;
            let waiting = self.ring.clear() / self.packet.len();
            self.taken += waiting;
            dropped += 1 + waiting;
        }
        self.publish();
        dropped
    }

    /// Takes in what has come, and tells what it has seen and holds.
    #[must_use]
    pub fn stats(&mut self) -> JitterStats {
        self.take_in();
        self.publish();
        self.gauge.stats()
    }

    /// A view of the counts for other threads.
    #[must_use]
    pub fn gauge(&self) -> JitterGauge {
        self.gauge.clone()
    }

    /// Frames that were pushed since it last looked.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.arrivals.filled() / self.packet.len()
    }

    /// Puts into order what has come since it last looked, as every [`pop`](Self::pop) does.
    pub fn take_in(&mut self) {
        while self.waits || self.ring.read(&mut self.packet) > 0 {
            self.taken += usize::from(!self.waits);
            let (position, now_ms) = packet::decode(&self.packet);
            let frame = packet::frame(&self.packet);
            self.waits = !self.reorder.push(frame, position, now_ms);
            if self.waits {
                break;
            }
        }
    }

    fn publish(&self) {
        let packet_bytes = self.packet.len();
        let dropped = self.arrivals.overrun() / packet_bytes;
        let mut stats = self.reorder.stats();
        stats.pushed = (self.taken + dropped + self.waiting()) as u64;
        stats.overruns += dropped as u64;
        self.gauge.publish(stats);
    }
}
