//! How large a ring is, and what it does when it is full.

use std::time::Duration;

/// What happens to bytes that a ring has no room for; all that is dropped is counted in [`Gauge::overrun`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Overflow {
    /// They are refused.
    #[default]
    DropNewest,
    /// The oldest bytes make room. If the consumer is reading at that very moment, the newest are refused instead.
    DropOldest,
    /// The producer waits so long for the consumer to make room; what does not fit by then is refused.
    Block(Duration),
}

/// A ring that is yet to be divided into its two sides.
///
/// ```
/// use trunkline_core::{Overflow, Ring};
///
/// let (mut producer, mut consumer) = Ring::new(4).overflow(Overflow::DropOldest).split()?;
/// producer.write(b"abcdef");
/// let mut out = [0; 4];
/// assert_eq!(consumer.read(&mut out), 4);
/// assert_eq!(&out, b"cdef");
/// # Ok::<(), trunkline_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use = "a ring is used through its two sides"]
pub struct Ring {
    pub(super) capacity: usize,
    pub(super) overflow: Overflow,
}

impl Ring {
    /// Describes a ring that holds exactly `capacity` bytes and refuses what it has no room for.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            overflow: Overflow::default(),
        }
    }

    /// Says what happens to bytes that there is no room for.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }
}
