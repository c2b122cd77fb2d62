//! A frame of 320 bytes into a ring and out again, here and in two well-known rings.

use divan::{Bencher, black_box};
use ringbuf::HeapRb;
use ringbuf::traits::{Consumer as _, Producer as _, Split as _};
use rtrb::RingBuffer;

const CAPACITY: usize = 48_000;
const FRAME: usize = 320;

#[divan::bench(sample_count = 1_000, sample_size = 100)]
fn trunkline(bencher: Bencher<'_, '_>) {
    let Ok((mut producer, mut consumer)) = trunkline_core::Ring::new(CAPACITY).split() else {
        return;
    };
    let mut out = [0; FRAME];
    bencher.bench_local(|| {
        producer.write(black_box(&[1; FRAME]));
        consumer.read(black_box(&mut out))
    });
}

#[divan::bench(sample_count = 1_000, sample_size = 100)]
fn rtrb(bencher: Bencher<'_, '_>) {
    let (mut producer, mut consumer) = RingBuffer::<u8>::new(CAPACITY);
    let mut out = [0; FRAME];
    bencher.bench_local(|| {
        black_box(producer.push_partial_slice(black_box(&[1; FRAME])));
        consumer.pop_partial_slice(black_box(&mut out)).0.len()
    });
}

#[divan::bench(sample_count = 1_000, sample_size = 100)]
fn ringbuf(bencher: Bencher<'_, '_>) {
    let (mut producer, mut consumer) = HeapRb::<u8>::new(CAPACITY).split();
    let mut out = [0; FRAME];
    bencher.bench_local(|| {
        producer.push_slice(black_box(&[1; FRAME]));
        consumer.pop_slice(black_box(&mut out))
    });
}

fn main() {
    divan::main();
}
