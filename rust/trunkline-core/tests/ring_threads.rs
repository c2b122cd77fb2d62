//! The ring between real threads, in every role at once: run as it is by `cargo test`, and under `ThreadSanitizer` by `make check-rust`.

#[cfg(loom)]
fn main() {}

#[cfg(not(loom))]
fn main() {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use trunkline_core::ring;

    const TOTAL: usize = 3_000_000;
    const CAPACITIES: [usize; 4] = [1, 961, 4_096, 48_000];

    /// The byte at a place of the stream; its period shares no divisor with a capacity.
    fn byte(place: usize) -> u8 {
        place.to_le_bytes()[0] ^ (place / 251).to_le_bytes()[0]
    }

    for capacity in CAPACITIES {
        let total = TOTAL.min(capacity * 10_000);
        let (mut producer, mut consumer) = ring(capacity);
        let gauge = producer.gauge();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut written = 0;
                while written < total {
                    let size = (written % 701 + 1).min(total - written);
                    let bytes: Vec<u8> = (written..written + size).map(byte).collect();
                    written += producer.write(&bytes);
                    if producer.gauge().filled() == capacity {
                        thread::yield_now();
                    }
                }
            });
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    assert!(gauge.filled() <= capacity);
                    let _ = (gauge.overrun(), gauge.underrun());
                    thread::yield_now();
                }
            });
            let mut out = [0; 640];
            let (mut passed, mut turn) = (0, 0_usize);
            while passed < total {
                turn += 1;
                if turn.is_multiple_of(97) {
                    passed += consumer.clear();
                    continue;
                }
                let size = turn % out.len() + 1;
                let len = consumer.read(&mut out[..size]);
                for (offset, &got) in out[..len].iter().enumerate() {
                    assert_eq!(got, byte(passed + offset), "at {}", passed + offset);
                }
                passed += len;
                if len == 0 {
                    thread::yield_now();
                }
            }
            assert_eq!(passed, total);
            done.store(true, Ordering::Release);
        });
        println!("a ring of {capacity} bytes passed {total}");
    }
}
