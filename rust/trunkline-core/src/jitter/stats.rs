//! What a jitter buffer counts, and how other threads see it.

use crate::sync::{Arc, AtomicU64, Ordering};

/// What a [`JitterBuffer`](crate::JitterBuffer) has seen and holds. What was pushed was popped, or dropped as late, duplicate or overrun, or
/// cleared, or is held.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct JitterStats {
    /// Frames that came.
    pub pushed: u64,
    /// Frames that were given out; what stands in for a missing one is not counted.
    pub popped: u64,
    /// Frames that were dropped because their turn was over, or because their numbers belong to no known stream.
    pub late: u64,
    /// Frames that were missing when their turn came.
    pub lost: u64,
    /// Frames that were dropped because they were there already.
    pub duplicate: u64,
    /// How often it ran dry.
    pub underruns: u64,
    /// Frames that were dropped because too much was held.
    pub overruns: u64,
    /// Milliseconds from the frame whose turn is next to the newest.
    pub depth_ms: f64,
    /// Milliseconds that are collected before frames are given out.
    pub target_ms: f64,
    /// The mean deviation of arrivals (RFC 3550), in milliseconds.
    pub jitter_ms: f64,
}

/// A view of a jitter buffer from any thread: what the reader last counted.
///
/// ```
/// use trunkline_core::{AudioFormat, Encoding, JitterBuffer, Position};
///
/// let phone = AudioFormat::new(Encoding::Mulaw, 8_000, 1)?;
/// let (mut writer, mut reader) = JitterBuffer::new(phone).target_ms(20).split()?;
/// let gauge = reader.gauge();
/// writer.push(&[1; 160], Position::Sequence(0), 0.0)?;
/// assert_eq!(gauge.stats().popped, 0);
/// reader.pop(0.0);
/// assert_eq!(gauge.stats().popped, 1);
/// # Ok::<(), trunkline_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct JitterGauge(Arc<[AtomicU64; 10]>);

impl JitterGauge {
    pub(super) fn new() -> Self {
        Self(Arc::new(std::array::from_fn(|_| AtomicU64::new(0))))
    }

    /// Shows numbers to other threads; only one thread may.
    pub(super) fn publish(&self, stats: JitterStats) {
        let words = [
            stats.pushed,
            stats.popped,
            stats.late,
            stats.lost,
            stats.duplicate,
            stats.underruns,
            stats.overruns,
            stats.depth_ms.to_bits(),
            stats.target_ms.to_bits(),
            stats.jitter_ms.to_bits(),
        ];
        for (shown, word) in self.0.iter().zip(words) {
            shown.store(word, Ordering::Relaxed);
        }
    }

    /// What the reader had seen when it last popped, cleared or counted; each number for itself.
    #[must_use]
    pub fn stats(&self) -> JitterStats {
        let [
            pushed,
            popped,
            late,
            lost,
            duplicate,
            underruns,
            overruns,
            depth,
            target,
            jitter,
        ] = std::array::from_fn(|which| self.0[which].load(Ordering::Relaxed));
        JitterStats {
            pushed,
            popped,
            late,
            lost,
            duplicate,
            underruns,
            overruns,
            depth_ms: f64::from_bits(depth),
            target_ms: f64::from_bits(target),
            jitter_ms: f64::from_bits(jitter),
        }
    }
}
