//! Counters that lie apart in memory, so that the two sides of a ring do not slow each other down.

use crate::sync::{AtomicUsize, Ordering};

/// Set in the word of `read` while the consumer is reading; the counter is in the bits above.
pub(super) const READING: usize = 1;

/// The bits of a counter.
pub(super) const COUNTER: usize = usize::MAX >> 1;

/// How far one counter is ahead of another.
pub(super) fn distance(ahead: usize, behind: usize) -> usize {
    ahead.wrapping_sub(behind) & COUNTER
}

/// A number with a cache line (or the pair that is fetched together) of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Padded(pub(super) AtomicUsize);

/// What one side counts and any thread may read.
#[derive(Debug)]
pub(super) struct Counter(Padded);

impl Default for Counter {
    fn default() -> Self {
        Self(Padded(AtomicUsize::new(0)))
    }
}

impl Counter {
    /// Adds; only one thread may, or counts are lost.
    pub(super) fn add(&self, number: usize) {
        if number > 0 {
            let total = self.get().wrapping_add(number);
            self.0.0.store(total, Ordering::Relaxed);
        }
    }

    pub(super) fn get(&self) -> usize {
        self.0.0.load(Ordering::Relaxed)
    }
}

/// How far each side is, and what both count.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) capacity: usize,
    pub(super) written: Padded,
    /// Twice the counter, and [`READING`].
    pub(super) read: Padded,
    pub(super) overrun: Counter,
    pub(super) underrun: Counter,
}

impl Counts {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            written: Padded(AtomicUsize::new(0)),
            read: Padded(AtomicUsize::new(0)),
            overrun: Counter::default(),
            underrun: Counter::default(),
        }
    }

    /// The place that lies so many bytes, at most all of the ring, after another.
    pub(super) fn after(&self, place: usize, len: usize) -> usize {
        let sum = place + len;
        if sum < self.capacity {
            sum
        } else {
            sum - self.capacity
        }
    }
}
