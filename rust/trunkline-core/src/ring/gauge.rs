//! A ring as it is seen from outside.

use std::fmt;

use super::counter::{Counts, distance};
use crate::sync::{Arc, Ordering};

/// A view of a ring's state from any thread; each number was true at a moment during the call.
///
/// ```
/// use trunkline_core::Ring;
///
/// let (mut producer, consumer) = Ring::new(4).split()?;
/// let gauge = consumer.gauge();
/// producer.write(b"abcdef");
/// assert_eq!((gauge.filled(), gauge.overrun(), gauge.underrun()), (4, 2, 0));
/// # Ok::<(), trunkline_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Gauge {
    counts: Arc<Counts>,
}

impl Gauge {
    pub(super) fn new(counts: &Arc<Counts>) -> Self {
        Self {
            counts: Arc::clone(counts),
        }
    }

    /// The bytes that the ring can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.counts.capacity
    }

    /// The bytes that are in the ring.
    #[must_use]
    pub fn filled(&self) -> usize {
        // `read` first: it never passes `written`, so the difference is not negative; the producer may have gone on, so it may be too large.
        let read = self.counts.read.0.load(Ordering::Acquire) >> 1;
        let written = self.counts.written.0.load(Ordering::Acquire);
        distance(written, read).min(self.capacity())
    }

    /// The bytes that were dropped, old or new, because the ring was full.
    #[must_use]
    pub fn overrun(&self) -> usize {
        self.counts.overrun.get()
    }

    /// The bytes that were asked for while the ring was empty.
    #[must_use]
    pub fn underrun(&self) -> usize {
        self.counts.underrun.get()
    }
}

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gauge")
            .field("filled", &self.filled())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}
