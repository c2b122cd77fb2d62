//! The buffers between real threads, in every role at once: run as it is by `cargo test`, and under `ThreadSanitizer` by `make check-rust`.
//!
//! The sanitizer sees this file and the crate, but not the standard library, whose fences it would take for races. So threads are joined by
//! the system's own call, which it knows, and nobody is the last owner of a ring, who would free it after a fence.

#[cfg(loom)]
fn main() {}

#[cfg(not(loom))]
fn main() {
    for capacity in [1, 961, 4_096, 48_000] {
        let total = 3_000_000.min(capacity * 10_000);
        ring::pass(capacity, total);
        println!("a ring of {capacity} bytes passed {total}");
    }
    for records in [1, 60, 6_000] {
        ring::overwrite(records, 300_000);
        println!("a ring of {records} records was overwritten by 300000");
    }
    jitter::block(20_000);
    println!("a jitter buffer that blocks passed 20000 frames");
    jitter::overwrite(20_000);
    println!("a jitter buffer that drops the oldest took 20000 frames");
}

#[cfg(not(loom))]
mod ring {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use trunkline_core::{Consumer, Gauge, Overflow, Producer, Ring};

    static DONE: AtomicBool = AtomicBool::new(false);

    fn ring(capacity: usize, overflow: Overflow) -> (Producer, Consumer) {
        let (producer, consumer) = Ring::new(capacity)
            .overflow(overflow)
            .split()
            .unwrap_or_else(|error| unreachable!("{error}"));
        std::mem::forget(producer.gauge());
        DONE.store(false, Ordering::Release);
        (producer, consumer)
    }

    pub(crate) fn pass(capacity: usize, total: usize) {
        let (producer, consumer) = ring(capacity, Overflow::DropNewest);
        let gauge = producer.gauge();
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
        std::mem::forget(consumer);
    }

    /// Numbers of eight bytes into a ring whose writer does not wait: those that come out are whole and in order, and all are counted.
    pub(crate) fn overwrite(records: usize, total: u64) {
        let (mut producer, mut consumer) = ring(records * 8, Overflow::DropOldest);
        let gauge = producer.gauge();
        let view = gauge.clone();
        let watcher = thread::spawn(move || watch(&view));
        let writer = thread::spawn(move || {
            for number in 0..total {
                producer.write(&number.to_le_bytes());
                if number % 64 == 0 {
                    thread::yield_now();
                }
            }
            DONE.store(true, Ordering::Release);
        });
        let (mut next, mut passed, mut turn) = (0, 0, 0_usize);
        loop {
            let done = DONE.load(Ordering::Acquire);
            turn += 1;
            if turn.is_multiple_of(997) {
                passed += consumer.clear() / 8;
                continue;
            }
            let mut out = [0; 80];
            let len = consumer.read(&mut out);
            for record in out[..len].as_chunks().0 {
                let number = u64::from_le_bytes(*record);
                assert!(number >= next, "{number} after {next}");
                next = number + 1;
                passed += 1;
            }
            if done && len == 0 {
                break;
            }
        }
        assert!(writer.join().is_ok() && watcher.join().is_ok());
        assert_eq!((passed + gauge.overrun() / 8) as u64, total);
        std::mem::forget(consumer);
    }
}

#[cfg(not(loom))]
mod jitter {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Duration;

    use trunkline_core::{
        AudioFormat, Encoding, JitterBuffer, JitterReader, JitterWriter, Overflow, Position,
        Underrun,
    };

    static DONE: AtomicBool = AtomicBool::new(false);

    fn buffer(overflow: Overflow) -> (JitterWriter, JitterReader) {
        let (writer, reader) = AudioFormat::new(Encoding::Linear16, 16_000, 1)
            .map(JitterBuffer::new)
            .and_then(|buffer| {
                buffer
                    .target_ms(0)
                    .max_ms(200)
                    .overflow(overflow)
                    .underrun(Underrun::None)
                    .split()
            })
            .unwrap_or_else(|error| unreachable!("{error}"));
        DONE.store(false, Ordering::Release);
        (writer, reader)
    }

    /// Pushes numbered frames, every second pair in the wrong order; the arrival is on time.
    fn push(mut writer: JitterWriter, total: u32) {
        let mut frame = vec![0; writer.frame_bytes()];
        for turn in 0..total {
            let number = if turn % 4 == 2 {
                turn + 1
            } else if turn % 4 == 3 {
                turn - 1
            } else {
                turn
            };
            frame.as_chunks_mut::<4>().0.fill(number.to_le_bytes());
            let position = Position::Timestamp(number.wrapping_mul(320).wrapping_sub(32_000));
            assert_eq!(
                writer.push(&frame, position, f64::from(number) * 20.0),
                Ok(())
            );
        }
        std::mem::forget(writer);
        DONE.store(true, Ordering::Release);
    }

    /// The number of a frame, all of which was written at once.
    fn number(frame: &[u8]) -> u32 {
        let numbers = frame.as_chunks::<4>().0;
        assert!(numbers.iter().all(|number| *number == numbers[0]), "torn");
        u32::from_le_bytes(numbers[0])
    }

    pub(crate) fn block(total: u32) {
        let (writer, mut reader) = buffer(Overflow::Block(Duration::from_secs(60)));
        let gauge = reader.gauge();
        let pusher = thread::spawn(move || push(writer, total));
        let mut got = 0;
        while got < total {
            match reader.pop(0.0) {
                Some(frame) => {
                    let number = number(frame);
                    assert!(number >= got, "{number} after {got}");
                    got = number + 1;
                }
                None => thread::yield_now(),
            }
        }
        assert!(pusher.join().is_ok());
        let stats = gauge.stats();
        assert_eq!((stats.pushed, stats.overruns), (u64::from(total), 0));
        // A pair in the wrong order is played as it comes where nothing else is held; the second of it is late then.
        assert_eq!(stats.popped + stats.late, u64::from(total));
    }

    pub(crate) fn overwrite(total: u32) {
        let (writer, mut reader) = buffer(Overflow::DropOldest);
        let gauge = reader.gauge();
        let pusher = thread::spawn(move || push(writer, total));
        let mut next = 0;
        loop {
            let done = DONE.load(Ordering::Acquire);
            let shown = gauge.stats();
            assert!(shown.popped <= u64::from(total) && shown.depth_ms <= 200.0);
            match reader.pop(0.0) {
                Some(frame) => {
                    let number = number(frame);
                    assert!(number >= next, "{number} after {next}");
                    next = number + 1;
                }
                None if done => break,
                None => thread::yield_now(),
            }
        }
        assert!(pusher.join().is_ok());
        let stats = reader.stats();
        assert_eq!(stats.pushed, u64::from(total));
        assert_eq!(
            stats.popped + stats.late + stats.duplicate + stats.overruns,
            u64::from(total)
        );
    }
}
