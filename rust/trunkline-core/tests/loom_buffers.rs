//! The buffers, run through every order in which two threads can meet: `RUSTFLAGS="--cfg loom" cargo test -p trunkline-core --release`.
#![cfg(loom)]

use loom::thread;
use trunkline_core::{
    AudioFormat, Consumer, Encoding, JitterBuffer, Overflow, Position, Producer, Ring, Underrun,
};

fn ring(capacity: usize, overflow: Overflow) -> (Producer, Consumer) {
    Ring::new(capacity).overflow(overflow).split().unwrap()
}

#[test]
fn bytes_arrive_whole_and_in_order() {
    loom::model(|| {
        let (mut producer, mut consumer) = ring(2, Overflow::DropNewest);
        let writer = thread::spawn(move || {
            let first = producer.write(&[1, 2]);
            first + producer.write(&[3, 4][..1])
        });
        let mut got = Vec::new();
        for _ in 0..2 {
            let mut out = [0; 2];
            let len = consumer.read(&mut out);
            got.extend_from_slice(&out[..len]);
        }
        let written = writer.join().unwrap();
        let mut out = [0; 3];
        let len = consumer.read(&mut out);
        got.extend_from_slice(&out[..len]);
        assert_eq!(got, &[1, 2, 3][..written]);
    });
}

#[test]
fn a_writer_that_drops_the_oldest_tears_nothing_that_is_read() {
    loom::model(|| {
        let (mut producer, mut consumer) = ring(3, Overflow::DropOldest);
        assert_eq!(producer.write(&[1, 2]), 2);
        let gauge = producer.gauge();
        let writer = thread::spawn(move || {
            let mut refused = Vec::new();
            for pair in [[3, 4], [5, 6]] {
                refused.extend_from_slice(&pair[producer.write(&pair)..]);
            }
            refused
        });
        let mut got = Vec::new();
        for _ in 0..2 {
            let mut out = [0; 2];
            let len = consumer.read(&mut out);
            got.extend_from_slice(&out[..len]);
        }
        let refused = writer.join().unwrap();
        let mut out = [0; 4];
        let len = consumer.read(&mut out);
        got.extend_from_slice(&out[..len]);
        assert!(got.windows(2).all(|pair| pair[0] < pair[1]), "{got:?}");
        assert!(!got.iter().any(|byte| refused.contains(byte)));
        assert_eq!(got.len() + gauge.overrun(), 6);
    });
}

#[test]
fn clearing_beside_a_writer_drops_only_what_it_counts() {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest] {
        loom::model(move || {
            let (mut producer, mut consumer) = ring(4, overflow);
            assert_eq!(producer.write(&[1, 2]), 2);
            let writer = thread::spawn(move || producer.write(&[3, 4]));
            let dropped = consumer.clear();
            let written = writer.join().unwrap();
            let mut out = [0; 4];
            let len = consumer.read(&mut out);
            assert_eq!(dropped + len, 2 + written);
            assert_eq!(out[..len], [1, 2, 3, 4][dropped..2 + written]);
        });
    }
}

#[test]
fn a_gauge_never_shows_more_than_the_ring_holds() {
    loom::model(|| {
        let (mut producer, mut consumer) = ring(2, Overflow::DropNewest);
        let gauge = producer.gauge();
        let writer = thread::spawn(move || producer.write(&[1]) + producer.write(&[2]));
        let reader = thread::spawn(move || consumer.read(&mut [0; 2]));
        assert!(gauge.filled() <= 2);
        let (written, read) = (writer.join().unwrap(), reader.join().unwrap());
        assert_eq!(gauge.filled(), written - read);
        assert_eq!(gauge.underrun(), 2 - read);
    });
}

#[test]
fn a_jitter_buffer_passes_whole_frames_in_order_and_counts_them_all() {
    loom::model(|| {
        let phone = AudioFormat::new(Encoding::Mulaw, 8_000, 1).unwrap();
        let (mut writer, mut reader) = JitterBuffer::new(phone)
            .frame_ms(1)
            .max_ms(2)
            .target_ms(0)
            .underrun(Underrun::None)
            .split()
            .unwrap();
        let gauge = reader.gauge();
        let writer = thread::spawn(move || {
            for number in 0..3_u8 {
                let position = Position::Sequence(number.into());
                writer.push(&[number; 8], position, 0.0).unwrap();
            }
        });
        let mut got = Vec::new();
        for _ in 0..2 {
            got.extend(reader.pop(0.0).map(<[u8]>::to_vec));
        }
        let shown = gauge.stats();
        assert!(shown.popped == got.len() as u64 && shown.pushed >= shown.popped);
        writer.join().unwrap();
        for _ in 0..4 {
            got.extend(reader.pop(0.0).map(<[u8]>::to_vec));
        }
        assert!(got.iter().all(|frame| frame == &[frame[0]; 8]));
        assert!(got.windows(2).all(|pair| pair[0] < pair[1]));
        let stats = reader.stats();
        assert_eq!((stats.pushed, stats.popped), (3, got.len() as u64));
        assert_eq!(stats.popped + stats.overruns, 3);
    });
}
