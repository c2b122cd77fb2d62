//! The ring between real threads, in every role at once: run as it is by `cargo test`, and under `ThreadSanitizer` by `make check-rust`.
//!
//! The sanitizer sees this file and the crate, but not the standard library, whose fences it would take for races. So threads are joined by
//! the system's own call, which it knows, and nobody is the last owner of a ring, who would free it after a fence.

#[cfg(loom)]
fn main() {}

#[cfg(not(loom))]
fn main() {
    for capacity in [1, 961, 4_096, 48_000] {
        let total = 3_000_000.min(capacity * 10_000);
        threads::pass(capacity, total);
        println!("a ring of {capacity} bytes passed {total}");
    }
}

#[cfg(not(loom))]
mod threads {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use trunkline_core::{Consumer, Gauge, Overflow, Producer, Ring};

    static DONE: AtomicBool = AtomicBool::new(false);

    pub(crate) fn pass(capacity: usize, total: usize) {
        let (producer, consumer) = ring(capacity);
        let gauge = producer.gauge();
        std::mem::forget(gauge.clone());
        DONE.store(false, Ordering::Release);
        let writer = thread::spawn(move || write(producer, total));
        let watcher = thread::spawn(move || watch(&gauge));
        read(consumer, total);
        DONE.store(true, Ordering::Release);
        assert!(writer.join().is_ok() && watcher.join().is_ok());
    }

    /// The byte at a place of the stream, in no step with any capacity.
    fn byte(place: usize) -> u8 {
        place.to_le_bytes()[0] ^ (place / 251).to_le_bytes()[0]
    }

    fn write(mut producer: Producer, total: usize) {
        let mut written = 0;
        while written < total {
            let size = (written % 701 + 1).min(total - written);
            let bytes: Vec<u8> = (written..written + size).map(byte).collect();
            let taken = producer.write(&bytes);
            written += taken;
            if taken < size {
                thread::yield_now();
            }
        }
    }

    fn watch(gauge: &Gauge) {
        while !DONE.load(Ordering::Acquire) {
            assert!(gauge.filled() <= gauge.capacity());
            let _ = (gauge.overrun(), gauge.underrun());
            thread::yield_now();
        }
    }

    fn read(mut consumer: Consumer, total: usize) {
        let mut out = [0; 640];
        let (mut passed, mut turn) = (0, 0_usize);
        while passed < total {
            turn += 1;
            if turn.is_multiple_of(97) {
                passed += consumer.clear();
                continue;
            }
            let len = consumer.read(&mut out[..=turn % 640]);
            for (offset, &got) in out[..len].iter().enumerate() {
                assert_eq!(got, byte(passed + offset), "at {}", passed + offset);
            }
            passed += len;
            if len == 0 {
                thread::yield_now();
            }
        }
        assert_eq!(passed, total);
    }
}
