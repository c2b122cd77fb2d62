//! A ring of bytes between one thread that writes and one that reads, neither of which waits for the other.
//!
//! Two counters run freely and wrap: `written` belongs to the producer, `read` to the consumer. The bytes between them are in the ring. A side
//! publishes its counter with release after it is done with the bytes, and reads the other side's with acquire before it touches any: whoever
//! sees a counter sees the bytes behind it. Where in the ring its next byte lies is known to each side alone, so the ring may have any size.
//!
//! With [`Overflow::DropOldest`] the producer moves `read` too, past the bytes that it drops. The lowest bit of that counter's word says that the
//! consumer is reading; while it is set the producer leaves the counter alone, so no byte is overwritten while it is read.

#![allow(
    unsafe_code,
    reason = "the two sides share memory that the counters divide between them"
)]

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use crate::Error;
use crate::sync::{Arc, Ordering, UnsafeCell};

mod counter;
mod gauge;
mod settings;

use counter::{COUNTER, Counts, READING, distance};
pub use gauge::Gauge;
pub use settings::{Overflow, Ring};

/// How long a blocked producer sleeps before it looks again: short beside a frame of 20 ms, and the consumer need not wake anyone.
const NAP: Duration = Duration::from_micros(500);

/// How often the producer tries to move `read` while the consumer keeps moving it.
const TRIES: usize = 3;

impl Ring {
    /// Makes the ring and divides it. Its memory is touched only when it is used.
    ///
    /// ```
    /// use trunkline_core::Ring;
    ///
    /// assert!(Ring::new(48_000).split().is_ok());
    /// assert!(Ring::new(usize::MAX).split().is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if there is not so much memory.
    pub fn split(self) -> Result<(Producer, Consumer), Error> {
        let Self { capacity, overflow } = self;
        let cells = zeroed(capacity)
            .ok_or_else(|| Error::setting("capacity", format!("no memory for {capacity} bytes")))?;
        let (cells, counts) = (Arc::new(Cells(cells)), Arc::new(Counts::new(capacity)));
        let producer = Producer {
            cells: Arc::clone(&cells),
            counts: Arc::clone(&counts),
            overflow,
            written: 0,
            place: 0,
            read_seen: 0,
        };
        let consumer = Consumer {
            cells,
            counts,
            may_lose: overflow == Overflow::DropOldest,
            reading: false,
            read: 0,
            place: 0,
            written_seen: 0,
        };
        Ok((producer, consumer))
    }
}

/// Cells of zeros, or `None` if there is no memory for them.
#[cfg(not(loom))]
fn zeroed(count: usize) -> Option<Box<[UnsafeCell<u8>]>> {
    use std::alloc::{Layout, alloc_zeroed};
    let layout = Layout::array::<UnsafeCell<u8>>(count).ok()?;
    if layout.size() == 0 {
        return Some(Box::default());
    }
    // SAFETY: the layout is not empty; where there is memory, it is of the layout that a box of such a slice has, and zero is a valid `u8`.
    unsafe {
        let memory = alloc_zeroed(layout).cast::<UnsafeCell<u8>>();
        (!memory.is_null())
            .then(|| Box::from_raw(std::ptr::slice_from_raw_parts_mut(memory, count)))
    }
}

#[cfg(loom)]
fn zeroed(count: usize) -> Option<Box<[UnsafeCell<u8>]>> {
    Some((0..count).map(|_| UnsafeCell::new(0)).collect())
}

struct Cells(Box<[UnsafeCell<u8>]>);

// SAFETY: `Producer` and `Consumer`, of which there is one each, are all that holds cells, and they never touch the same one at a time: the producer only those that `read` has passed, the consumer only those that `written` has passed. The producer moves `read`
// itself only while the consumer is not reading, which is one atomic step.
unsafe impl Sync for Cells {}
// SAFETY: they are plain bytes.
unsafe impl Send for Cells {}

impl fmt::Debug for Cells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cells", self.0.len())
    }
}

impl Cells {
    /// Copies bytes into neighbouring cells.
    ///
    /// # Safety
    ///
    /// `place + bytes.len()` is within the cells, and no other thread touches these cells during the call.
    #[cfg(not(loom))]
    unsafe fn store(&self, place: usize, bytes: &[u8]) {
        // SAFETY: the caller's promise; an `UnsafeCell<u8>` lies in memory as its `u8` does.
        unsafe {
            let cells = UnsafeCell::raw_get(self.0.as_ptr().add(place));
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), cells, bytes.len());
        }
    }

    /// Copies neighbouring cells out.
    ///
    /// # Safety
    ///
    /// `place + out.len()` is within the cells, and no other thread writes to these cells during the call.
    #[cfg(not(loom))]
    unsafe fn load(&self, place: usize, out: &mut [u8]) {
        // SAFETY: the caller's promise; an `UnsafeCell<u8>` lies in memory as its `u8` does.
        unsafe {
            let cells = UnsafeCell::raw_get(self.0.as_ptr().add(place));
            std::ptr::copy_nonoverlapping(cells.cast_const(), out.as_mut_ptr(), out.len());
        }
    }

    /// As the other `store`, cell by cell, so that the model checker watches each.
    #[cfg(loom)]
    unsafe fn store(&self, place: usize, bytes: &[u8]) {
        for (cell, &byte) in self.0[place..].iter().zip(bytes) {
            // SAFETY: the caller's promise.
            cell.with_mut(|cell| unsafe { *cell = byte });
        }
    }

    /// As the other `load`, cell by cell, so that the model checker watches each.
    #[cfg(loom)]
    unsafe fn load(&self, place: usize, out: &mut [u8]) {
        for (cell, byte) in self.0[place..].iter().zip(out) {
            // SAFETY: the caller's promise.
            *byte = cell.with(|cell| unsafe { *cell });
        }
    }
}

/// The side that writes.
#[derive(Debug)]
pub struct Producer {
    cells: Arc<Cells>,
    counts: Arc<Counts>,
    overflow: Overflow,
    /// Its own counter, which nobody else changes.
    written: usize,
    /// Where its next byte goes.
    place: usize,
    /// The other side's counter when it was last looked at: what was free then is still free.
    read_seen: usize,
}

impl Producer {
    /// Writes and returns how many of the bytes are in the ring then; what happens where there is no room was said by [`Ring::overflow`].
    ///
    /// ```
    /// use trunkline_core::Ring;
    ///
    /// let (mut producer, _consumer) = Ring::new(4).split()?;
    /// assert_eq!(producer.write(b"abc"), 3);
    /// assert_eq!(producer.write(b"def"), 1);
    /// assert_eq!(producer.gauge().overrun(), 2);
    /// # Ok::<(), trunkline_core::Error>(())
    /// ```
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        let kept = match self.overflow {
            Overflow::DropNewest => self.put(bytes),
            Overflow::DropOldest => {
                let last = &bytes[bytes.len().saturating_sub(self.counts.capacity)..];
                self.drop_oldest(last.len());
                self.put(last)
            }
            Overflow::Block(timeout) => self.put_within(bytes, timeout),
        };
        self.counts.overrun.add(bytes.len() - kept);
        kept
    }

    /// A view of the ring's state; see [`Gauge`].
    #[must_use]
    pub fn gauge(&self) -> Gauge {
        Gauge::new(&self.counts)
    }

    /// Writes what there is room for.
    fn put(&mut self, bytes: &[u8]) -> usize {
        let mut free = self.free();
        if free < bytes.len() {
            self.read_seen = self.counts.read.0.load(Ordering::Acquire) >> 1;
            free = self.free();
        }
        let taken = &bytes[..bytes.len().min(free)];
        let (head, tail) = taken.split_at(taken.len().min(self.counts.capacity - self.place));
        // SAFETY: `head` ends with the cells at most and `tail` is not longer than what is before `place`; the consumer does not touch free
        // cells, and the acquire above, or that in `drop_oldest`, saw it done with them.
        unsafe {
            self.cells.store(self.place, head);
            self.cells.store(0, tail);
        }
        self.place = self.counts.after(self.place, taken.len());
        self.written = self.written.wrapping_add(taken.len()) & COUNTER;
        self.counts.written.0.store(self.written, Ordering::Release);
        taken.len()
    }

    /// Writes what there is room for until then.
    fn put_within(&mut self, bytes: &[u8], timeout: Duration) -> usize {
        let mut kept = self.put(bytes);
        let begun = Instant::now();
        while kept < bytes.len()
            && let Some(left) = timeout.checked_sub(begun.elapsed())
        {
            thread::sleep(NAP.min(left));
            kept += self.put(&bytes[kept..]);
        }
        kept
    }

    /// Moves `read` on until so many bytes, at most all of the ring, are free; not while the consumer is reading.
    fn drop_oldest(&mut self, needed: usize) {
        if self.free() >= needed {
            return;
        }
        let read = &self.counts.read.0;
        let mut word = read.load(Ordering::Acquire);
        for _ in 0..TRIES {
            self.read_seen = word >> 1;
            let free = self.counts.capacity - distance(self.written, self.read_seen);
            let missing = needed.saturating_sub(free);
            if missing == 0 || word & READING != 0 {
                return;
            }
            // Acquire as in `put`; release, so that a consumer that sees this counter sees a `written` that is not behind it.
            let moved = self.read_seen.wrapping_add(missing) << 1;
            match read.compare_exchange(word, moved, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    self.read_seen = moved >> 1;
                    self.counts.overrun.add(missing);
                    return;
                }
                Err(seen) => word = seen,
            }
        }
    }

    fn free(&self) -> usize {
        self.counts.capacity - distance(self.written, self.read_seen)
    }
}

/// The side that reads.
#[derive(Debug)]
pub struct Consumer {
    cells: Arc<Cells>,
    counts: Arc<Counts>,
    /// Whether the producer may drop what has not been read.
    may_lose: bool,
    /// Whether the producer has been told to leave `read` alone.
    reading: bool,
    /// Its own counter.
    read: usize,
    /// Where its next byte lies.
    place: usize,
    /// The other side's counter when it was last looked at: what was there then is still there, while `reading`.
    written_seen: usize,
}

impl Consumer {
    /// Reads as much as there is and returns how many bytes that is; what is missing to fill `out` is counted as underrun.
    ///
    /// ```
    /// use trunkline_core::Ring;
    ///
    /// let (mut producer, mut consumer) = Ring::new(8).split()?;
    /// producer.write(b"abc");
    /// let mut out = [0; 4];
    /// assert_eq!(consumer.read(&mut out), 3);
    /// assert_eq!((&out, consumer.gauge().underrun()), (b"abc\0", 1));
    /// # Ok::<(), trunkline_core::Error>(())
    /// ```
    pub fn read(&mut self, out: &mut [u8]) -> usize {
        let len = self.claim(out.len());
        let first = len.min(self.counts.capacity - self.place);
        let (head, tail) = out[..len].split_at_mut(first);
        // SAFETY: `head` ends with the cells at most and `tail` is not longer than what is before `place`; the producer does not touch filled
        // cells, and the acquire in `look` saw it done with them.
        unsafe {
            self.cells.load(self.place, head);
            self.cells.load(0, tail);
        }
        self.pass(len);
        len
    }

    /// Returns how many of the `wanted` bytes can be read now, which [`read`](Self::read) will then find; the others are counted as underrun.
    ///
    /// You must read next: until then a producer that drops the oldest bytes leaves these alone, and refuses new ones instead.
    ///
    /// ```
    /// use trunkline_core::Ring;
    ///
    /// let (mut producer, mut consumer) = Ring::new(8).split()?;
    /// producer.write(b"abc");
    /// let mut out = vec![0; consumer.claim(100)];
    /// assert_eq!(consumer.read(&mut out), 3);
    /// # Ok::<(), trunkline_core::Error>(())
    /// ```
    pub fn claim(&mut self, wanted: usize) -> usize {
        self.hold();
        if self.seen() < wanted {
            self.look();
        }
        let there = wanted.min(self.seen());
        self.counts.underrun.add(wanted - there);
        there
    }

    /// Drops all that is in the ring, in constant time, and returns how many bytes that was.
    ///
    /// ```
    /// use trunkline_core::Ring;
    ///
    /// let (mut producer, mut consumer) = Ring::new(8).split()?;
    /// producer.write(b"abc");
    /// assert_eq!(consumer.clear(), 3);
    /// assert_eq!(consumer.clear(), 0);
    /// # Ok::<(), trunkline_core::Error>(())
    /// ```
    pub fn clear(&mut self) -> usize {
        self.hold();
        self.look();
        let dropped = self.seen();
        self.pass(dropped);
        dropped
    }

    /// A view of the ring's state; see [`Gauge`].
    #[must_use]
    pub fn gauge(&self) -> Gauge {
        Gauge::new(&self.counts)
    }

    /// Keeps the producer from dropping what is about to be read, and learns what it has dropped before.
    fn hold(&mut self) {
        if !self.may_lose || self.reading {
            return;
        }
        let read = self.counts.read.0.fetch_or(READING, Ordering::AcqRel) >> 1;
        self.reading = true;
        let dropped = distance(read, self.read);
        if dropped > 0 {
            self.read = read;
            self.place = self
                .counts
                .after(self.place, dropped % self.counts.capacity);
            self.look();
        }
    }

    fn look(&mut self) {
        self.written_seen = self.counts.written.0.load(Ordering::Acquire);
    }

    fn seen(&self) -> usize {
        distance(self.written_seen, self.read)
    }

    /// Is done with bytes, and with reading.
    fn pass(&mut self, len: usize) {
        self.read = self.read.wrapping_add(len) & COUNTER;
        self.place = self.counts.after(self.place, len);
        self.reading = false;
        self.counts.read.0.store(self.read << 1, Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::thread;

    fn ring(capacity: usize, overflow: Overflow) -> (Producer, Consumer) {
        Ring::new(capacity)
            .overflow(overflow)
            .split()
            .unwrap_or_else(|error| unreachable!("{error}"))
    }

    #[derive(Debug, Clone)]
    enum Step {
        Write(usize),
        Read(usize),
        Clear,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0_usize..60).prop_map(Step::Write),
            4 => (0_usize..40).prop_map(Step::Read),
            1 => Just(Step::Clear),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_behaves_as_a_bounded_queue(
            capacity in 0_usize..50,
            overflow in prop::sample::select(vec![Overflow::DropNewest, Overflow::DropOldest, Overflow::Block(Duration::ZERO)]),
            steps in steps(),
        ) {
            let (mut producer, mut consumer) = ring(capacity, overflow);
            let gauge = producer.gauge();
            let mut model = VecDeque::new();
            let (mut next, mut overrun, mut underrun) = (0_u8, 0, 0);
            for step in steps {
                match step {
                    Step::Write(len) => {
                        let bytes: Vec<u8> = (0..len).map(|_| { next = next.wrapping_add(1); next }).collect();
                        if overflow == Overflow::DropOldest {
                            prop_assert_eq!(producer.write(&bytes), len.min(capacity));
                            model.extend(&bytes);
                            let dropped = model.len().saturating_sub(capacity);
                            model.drain(..dropped);
                            overrun += dropped;
                        } else {
                            let fits = len.min(capacity - model.len());
                            prop_assert_eq!(producer.write(&bytes), fits);
                            model.extend(&bytes[..fits]);
                            overrun += len - fits;
                        }
                    }
                    Step::Read(len) => {
                        let mut out = vec![0; len];
                        let there = len.min(model.len());
                        prop_assert_eq!(consumer.read(&mut out), there);
                        prop_assert_eq!(&out[..there], model.drain(..there).collect::<Vec<u8>>());
                        underrun += len - there;
                    }
                    Step::Clear => {
                        prop_assert_eq!(consumer.clear(), model.len());
                        model.clear();
                    }
                }
                prop_assert_eq!(gauge.filled(), model.len());
                prop_assert_eq!((gauge.overrun(), gauge.underrun()), (overrun, underrun));
            }
        }
    }

    #[test]
    fn counters_may_wrap() {
        for overflow in [Overflow::DropNewest, Overflow::DropOldest] {
            let (mut producer, mut consumer) = ring(5, overflow);
            let near_the_end = COUNTER - 3;
            producer.written = near_the_end;
            producer.read_seen = near_the_end;
            consumer.read = near_the_end;
            consumer.written_seen = near_the_end;
            let shared = Arc::clone(&producer.counts);
            shared.written.0.store(near_the_end, Ordering::Relaxed);
            shared.read.0.store(near_the_end << 1, Ordering::Relaxed);
            let mut out = [0; 5];
            for round in 0..4_u8 {
                assert_eq!(producer.write(&[round, 1]), 2);
                assert_eq!(producer.write(&[2, 3, 4]), 3);
                assert_eq!(producer.gauge().filled(), 5);
                let dropped = if overflow == Overflow::DropOldest {
                    producer.write(&[5, 6])
                } else {
                    0
                };
                assert_eq!(consumer.read(&mut out), 5);
                let expected = if dropped == 2 {
                    [2, 3, 4, 5, 6]
                } else {
                    [round, 1, 2, 3, 4]
                };
                assert_eq!(out, expected);
            }
        }
    }

    #[test]
    fn a_capacity_beyond_all_memory_is_refused() {
        for capacity in [usize::MAX, usize::MAX / 2 + 2, usize::MAX / 2 + 1] {
            let refused = Ring::new(capacity).split();
            assert!(
                matches!(
                    refused,
                    Err(Error::InvalidSetting {
                        name: "capacity",
                        ..
                    })
                ),
                "{capacity}"
            );
        }
    }

    #[test]
    fn claimed_bytes_are_not_dropped() {
        let (mut producer, mut consumer) = ring(4, Overflow::DropOldest);
        producer.write(b"abcd");
        assert_eq!(consumer.claim(3), 3);
        assert_eq!(producer.write(b"ef"), 0);
        let mut out = [0; 3];
        assert_eq!(consumer.read(&mut out), 3);
        assert_eq!((&out, producer.gauge().overrun()), (b"abc", 2));
        assert_eq!(producer.write(b"ghij"), 4);
        assert_eq!(consumer.read(&mut out), 3);
        assert_eq!((&out, producer.gauge().overrun()), (b"ghi", 3));
    }

    #[test]
    fn a_blocked_producer_goes_on_when_there_is_room() {
        let (mut producer, mut consumer) = ring(3, Overflow::Block(Duration::from_secs(20)));
        let gauge = producer.gauge();
        let writer = thread::spawn(move || producer.write(b"abcdefgh"));
        let (mut got, mut out) = (Vec::new(), [0; 2]);
        while got.len() < 8 {
            let len = consumer.read(&mut out);
            got.extend_from_slice(&out[..len]);
            thread::yield_now();
        }
        assert_eq!(writer.join().ok(), Some(8));
        assert_eq!((got.as_slice(), gauge.overrun()), (&b"abcdefgh"[..], 0));
    }

    #[test]
    fn bytes_cross_threads_in_order() {
        const TOTAL: usize = 400_000;
        let (mut producer, mut consumer) = ring(961, Overflow::DropNewest);
        let writer = thread::spawn(move || {
            let bytes: Vec<u8> = (0..=250).cycle().take(TOTAL).collect();
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                rest = &rest[producer.write(&rest[..rest.len().min(320)])..];
                thread::yield_now();
            }
        });
        let (mut got, mut out) = (Vec::new(), [0; 480]);
        while got.len() < TOTAL {
            let len = consumer.read(&mut out);
            got.extend_from_slice(&out[..len]);
            thread::yield_now();
        }
        assert!(writer.join().is_ok());
        assert!(got.iter().copied().eq((0..=250).cycle().take(TOTAL)));
    }
}
