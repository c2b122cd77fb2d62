//! A ring of bytes between one thread that writes and one that reads, neither of which ever waits.
//!
//! Two counters run freely and wrap with the machine's word: `written` belongs to the producer, `read` to the consumer. The bytes between
//! them are in the ring. A side publishes its counter with release after it is done with the bytes, and reads the other side's with acquire
//! before it touches any: whoever sees a counter sees the bytes behind it.

#![allow(
    unsafe_code,
    reason = "the two sides share memory that the counters divide between them"
)]

use std::fmt;

use crate::sync::{Arc, AtomicUsize, Ordering, UnsafeCell};

/// Makes a ring that holds exactly `capacity` bytes.
#[must_use]
pub fn ring(capacity: usize) -> (Producer, Consumer) {
    let shared = Arc::new(Shared {
        cells: (0..capacity.next_power_of_two())
            .map(|_| UnsafeCell::new(0))
            .collect(),
        capacity,
        written: Padded(AtomicUsize::new(0)),
        read: Padded(AtomicUsize::new(0)),
        overrun: Padded(AtomicUsize::new(0)),
        underrun: Padded(AtomicUsize::new(0)),
    });
    let producer = Producer {
        shared: Arc::clone(&shared),
        written: 0,
        read_seen: 0,
    };
    let consumer = Consumer {
        shared,
        read: 0,
        written_seen: 0,
    };
    (producer, consumer)
}

/// A counter with a cache line (or the pair that is fetched together) of its own, so that the sides do not slow each other down.
#[repr(align(128))]
struct Padded(AtomicUsize);

struct Shared {
    /// A power of two of them, so that a counter becomes a place by masking; no more than `capacity` are in use at a time.
    cells: Box<[UnsafeCell<u8>]>,
    capacity: usize,
    written: Padded,
    read: Padded,
    overrun: Padded,
    underrun: Padded,
}

// SAFETY: the cells are the only part that is not `Sync`, and `Producer` and `Consumer`, of which there is one each, never touch the same cell
// at a time: the producer only those that `read` has passed, the consumer only those that `written` has passed.
unsafe impl Sync for Shared {}
// SAFETY: it owns plain bytes and counters.
unsafe impl Send for Shared {}

impl Shared {
    /// Divides a run of bytes that begins at a counter into the two runs of cells that hold it.
    fn split(&self, at: usize, len: usize) -> (usize, usize) {
        let place = at & (self.cells.len() - 1);
        (place, len.min(self.cells.len() - place))
    }

    /// Copies bytes into neighbouring cells.
    ///
    /// # Safety
    ///
    /// `place + bytes.len()` is within the cells, and no other thread touches these cells during the call.
    #[cfg(not(loom))]
    unsafe fn store(&self, place: usize, bytes: &[u8]) {
        // SAFETY: the caller's promise; an `UnsafeCell<u8>` lies in memory as its `u8` does.
        unsafe {
            let cells = UnsafeCell::raw_get(self.cells.as_ptr().add(place));
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
            let cells = UnsafeCell::raw_get(self.cells.as_ptr().add(place));
            std::ptr::copy_nonoverlapping(cells.cast_const(), out.as_mut_ptr(), out.len());
        }
    }

    /// As the other `store`, cell by cell, so that the model checker watches each.
    #[cfg(loom)]
    unsafe fn store(&self, place: usize, bytes: &[u8]) {
        for (cell, &byte) in self.cells[place..].iter().zip(bytes) {
            // SAFETY: the caller's promise.
            cell.with_mut(|cell| unsafe { *cell = byte });
        }
    }

    /// As the other `load`, cell by cell, so that the model checker watches each.
    #[cfg(loom)]
    unsafe fn load(&self, place: usize, out: &mut [u8]) {
        for (cell, byte) in self.cells[place..].iter().zip(out) {
            // SAFETY: the caller's promise.
            *byte = cell.with(|cell| unsafe { *cell });
        }
    }
}

/// The side that writes.
pub struct Producer {
    shared: Arc<Shared>,
    /// Its own counter, which nobody else changes.
    written: usize,
    /// The other side's counter when it was last looked at: what was free then is still free.
    read_seen: usize,
}

impl Producer {
    /// Writes as much as there is room for and returns how many bytes that is; the rest is refused and counted as overrun.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        let mut free = self.free();
        if free < bytes.len() {
            self.read_seen = self.shared.read.0.load(Ordering::Acquire);
            free = self.free();
        }
        let (taken, refused) = bytes.split_at(bytes.len().min(free));
        let (place, first) = self.shared.split(self.written, taken.len());
        let (head, tail) = taken.split_at(first);
        // SAFETY: `split` keeps `head` within the cells and `tail` is not longer than what is before `place`; the consumer does not touch free
        // cells, and the acquire above saw it done with them.
        unsafe {
            self.shared.store(place, head);
            self.shared.store(0, tail);
        }
        self.written = self.written.wrapping_add(taken.len());
        self.shared.written.0.store(self.written, Ordering::Release);
        count(&self.shared.overrun, refused.len());
        taken.len()
    }

    /// A view of the ring's state.
    #[must_use]
    pub fn gauge(&self) -> Gauge {
        Gauge {
            shared: Arc::clone(&self.shared),
        }
    }

    fn free(&self) -> usize {
        self.shared.capacity - self.written.wrapping_sub(self.read_seen)
    }
}

/// The side that reads.
pub struct Consumer {
    shared: Arc<Shared>,
    /// Its own counter, which nobody else changes.
    read: usize,
    /// The other side's counter when it was last looked at: what was there then is still there.
    written_seen: usize,
}

impl Consumer {
    /// Reads as much as there is and returns how many bytes that is; what is missing to fill `out` is counted as underrun.
    pub fn read(&mut self, out: &mut [u8]) -> usize {
        let len = self.claim(out.len());
        let (place, first) = self.shared.split(self.read, len);
        let (head, tail) = out[..len].split_at_mut(first);
        // SAFETY: `split` keeps `head` within the cells and `tail` is not longer than what is before `place`; the producer does not touch filled
        // cells, and the acquire in `look` saw it done with them.
        unsafe {
            self.shared.load(place, head);
            self.shared.load(0, tail);
        }
        self.pass(len);
        len
    }

    /// Returns how many of the `wanted` bytes can be read now, which [`read`](Self::read) will then find; the others are counted as underrun.
    pub fn claim(&mut self, wanted: usize) -> usize {
        if self.seen() < wanted {
            self.look();
        }
        let there = wanted.min(self.seen());
        count(&self.shared.underrun, wanted - there);
        there
    }

    /// Drops all that is in the ring, in constant time, and returns how many bytes that was.
    pub fn clear(&mut self) -> usize {
        self.look();
        let dropped = self.seen();
        self.pass(dropped);
        dropped
    }

    /// A view of the ring's state.
    #[must_use]
    pub fn gauge(&self) -> Gauge {
        Gauge {
            shared: Arc::clone(&self.shared),
        }
    }

    fn look(&mut self) {
        self.written_seen = self.shared.written.0.load(Ordering::Acquire);
    }

    fn seen(&self) -> usize {
        self.written_seen.wrapping_sub(self.read)
    }

    fn pass(&mut self, len: usize) {
        self.read = self.read.wrapping_add(len);
        self.shared.read.0.store(self.read, Ordering::Release);
    }
}

/// A view of a ring's state from any thread; each number was true at a moment during the call.
#[derive(Clone)]
pub struct Gauge {
    shared: Arc<Shared>,
}

impl Gauge {
    /// The bytes that the ring can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.capacity
    }

    /// The bytes that are in the ring.
    #[must_use]
    pub fn filled(&self) -> usize {
        // `read` first: it never passes `written`, so the difference is not negative; the producer may have gone on, so it may be too large.
        let read = self.shared.read.0.load(Ordering::Acquire);
        let written = self.shared.written.0.load(Ordering::Acquire);
        written.wrapping_sub(read).min(self.shared.capacity)
    }

    /// The bytes that were refused because the ring was full.
    #[must_use]
    pub fn overrun(&self) -> usize {
        self.shared.overrun.0.load(Ordering::Relaxed)
    }

    /// The bytes that were asked for while the ring was empty.
    #[must_use]
    pub fn underrun(&self) -> usize {
        self.shared.underrun.0.load(Ordering::Relaxed)
    }
}

/// Adds to a counter that only the calling side changes.
fn count(counter: &Padded, bytes: usize) {
    if bytes > 0 {
        let total = counter.0.load(Ordering::Relaxed).wrapping_add(bytes);
        counter.0.store(total, Ordering::Relaxed);
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("ring", &self.gauge())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("ring", &self.gauge())
            .finish_non_exhaustive()
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::thread;

    #[derive(Debug, Clone)]
    enum Step {
        Write(usize),
        Read(usize),
        Clear,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0_usize..40).prop_map(Step::Write),
            4 => (0_usize..40).prop_map(Step::Read),
            1 => Just(Step::Clear),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_behaves_as_a_bounded_queue(capacity in 0_usize..50, steps in steps()) {
            let (mut producer, mut consumer) = ring(capacity);
            let gauge = producer.gauge();
            let mut model = VecDeque::new();
            let (mut next, mut overrun, mut underrun) = (0_u8, 0, 0);
            for step in steps {
                match step {
                    Step::Write(len) => {
                        let bytes: Vec<u8> = (0..len).map(|_| { next = next.wrapping_add(1); next }).collect();
                        let fits = len.min(capacity - model.len());
                        prop_assert_eq!(producer.write(&bytes), fits);
                        model.extend(&bytes[..fits]);
                        overrun += len - fits;
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
        let (mut producer, mut consumer) = ring(5);
        let near_the_end = usize::MAX - 3;
        producer.written = near_the_end;
        producer.read_seen = near_the_end;
        consumer.read = near_the_end;
        consumer.written_seen = near_the_end;
        producer
            .shared
            .written
            .0
            .store(near_the_end, Ordering::Relaxed);
        producer
            .shared
            .read
            .0
            .store(near_the_end, Ordering::Relaxed);
        let mut out = [0; 5];
        for round in 0..4_u8 {
            assert_eq!(producer.write(&[round, 1, 2, 3, 4, 5]), 5);
            assert_eq!(producer.gauge().filled(), 5);
            assert_eq!(consumer.read(&mut out), 5);
            assert_eq!(out, [round, 1, 2, 3, 4]);
        }
    }

    #[test]
    fn bytes_cross_threads_in_order() {
        const TOTAL: usize = 400_000;
        let (mut producer, mut consumer) = ring(961);
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
