//! Every public entry point, given anything: what comes back is a result or an error, never a panic. `PROPTEST_CASES` says how often.
#![cfg(not(loom))]

use std::time::Duration;

use proptest::prelude::*;
use trunkline_core::{
    AudioFormat, Concealer, DtmfDetector, Encoding, JitterBuffer, Overflow, Position, Ring,
    SAMPLE_RATES, StreamConverter, Underrun, alaw_decode, alaw_encode, convert, dbfs,
    generate_dtmf, generate_tone, mulaw_decode, mulaw_encode, rms,
};

fn formats() -> impl Strategy<Value = AudioFormat> {
    let encodings = prop::sample::select(vec![Encoding::Linear16, Encoding::Mulaw, Encoding::Alaw]);
    let rates = prop::sample::select(SAMPLE_RATES.to_vec());
    (encodings, rates, 1_u16..=2).prop_filter_map("a format", |(encoding, rate, channels)| {
        AudioFormat::new(encoding, rate, channels).ok()
    })
}

fn chunks() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..700), 0..8)
}

/// Any number, or one that is likely to mean something, but no duration that is merely long.
fn numbers() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>().prop_filter("a long time", |number| !(1e4..=3.6e6).contains(number)),
        -100.0..5_000.0,
        Just(f64::NAN),
        Just(f64::INFINITY),
    ]
}

fn overflows() -> impl Strategy<Value = Overflow> {
    prop::sample::select(vec![
        Overflow::DropNewest,
        Overflow::DropOldest,
        Overflow::Block(Duration::ZERO),
    ])
}

fn positions() -> impl Strategy<Value = Position> {
    prop_oneof![
        8 => (0_u16..60).prop_map(Position::Sequence),
        8 => (0_u32..60).prop_map(|frame| Position::Timestamp(frame * 160)),
        1 => any::<u16>().prop_map(Position::Sequence),
        1 => any::<u32>().prop_map(Position::Timestamp),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn formats_are_read_from_anything(name in ".*", rate in any::<u32>(), channels in any::<u16>()) {
        let encoding = name.parse().unwrap_or(Encoding::Mulaw);
        if let Err(error) = AudioFormat::new(encoding, rate, channels) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn streams_take_any_chunks_and_any_room(
        from in formats(),
        to in formats(),
        steps in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..700), 0_usize..9_000, 0..8_u8), 0..8),
    ) {
        let mut stream = StreamConverter::new(from, to);
        let mut room = vec![0; 9_000];
        for (chunk, len, what) in steps {
            match what {
                0 => stream.reset(),
                1 => {
                    let needed = stream.flush_len();
                    prop_assert_eq!(stream.flush_into(&mut room[..len]).ok(), (len >= needed).then_some(needed));
                }
                2 => prop_assert_eq!(stream.flush_len(), stream.flush().len()),
                3..5 => {
                    let needed = stream.output_len(chunk.len());
                    let written = stream.convert_into(&chunk, &mut room[..len]);
                    prop_assert_eq!(written.ok(), (len >= needed).then_some(needed));
                }
                _ => {
                    let needed = stream.output_len(chunk.len());
                    prop_assert_eq!(stream.convert(&chunk).len(), needed);
                }
            }
            prop_assert!((0.0..=10.0).contains(&stream.delay_ms()));
        }
    }

    #[test]
    fn pieces_are_converted_or_refused(audio in prop::collection::vec(any::<u8>(), 0..2_000), from in formats(), to in formats()) {
        let whole = audio.len().is_multiple_of(from.sample_bytes());
        prop_assert_eq!(convert(&audio, from, to).is_ok(), whole || from == to);
    }

    #[test]
    fn samples_are_coded_and_measured(samples in prop::collection::vec(any::<i16>(), 0..500)) {
        for &sample in &samples {
            let _ = (mulaw_decode(mulaw_encode(sample)), alaw_decode(alaw_encode(sample)));
        }
        prop_assert!((0.0..=32_768.0).contains(&rms(&samples)));
        prop_assert!(dbfs(&samples) <= 0.0);
    }

    #[test]
    fn rings_take_anything(
        capacity in prop_oneof![4 => 0_usize..700, 1 => (0_u32..64).prop_map(|bits| 1 << bits), 1 => any::<usize>()],
        overflow in overflows(),
        chunks in chunks(),
    ) {
        let Ok((mut producer, mut consumer)) = Ring::new(capacity).overflow(overflow).split() else {
            prop_assert!(capacity > 1 << 30, "{capacity} bytes are no reason to refuse");
            return Ok(());
        };
        for (turn, chunk) in chunks.iter().enumerate() {
            let written = producer.write(chunk);
            prop_assert!(written <= chunk.len() && producer.gauge().filled() <= capacity);
            let mut out = vec![0; chunk.len() / (turn + 1)];
            prop_assert!(consumer.claim(out.len()) == consumer.read(&mut out));
            if turn % 3 == 2 {
                consumer.clear();
                prop_assert_eq!(consumer.gauge().filled(), 0);
            }
        }
    }

    #[test]
    fn jitter_buffers_take_anything(
        format in formats(),
        settings in prop_oneof![
            (0_u32..200, 0_u32..400, 0_u32..40),
            any::<(u32, u32, u32)>(),
        ],
        overflow in overflows(),
        underrun in prop::sample::select(vec![Underrun::None, Underrun::Silence, Underrun::Hold]),
        steps in prop::collection::vec((positions(), numbers(), 0..10_u8, 0_usize..3), 0..60),
    ) {
        let (target_ms, max_ms, frame_ms) = settings;
        let buffer = JitterBuffer::new(format).target_ms(target_ms).max_ms(max_ms).frame_ms(frame_ms);
        let Ok((mut writer, mut reader)) = buffer.overflow(overflow).underrun(underrun).split() else {
            return Ok(());
        };
        let len = writer.frame_bytes();
        let frame = vec![7; len + 1];
        for (position, now_ms, what, off) in steps {
            match what {
                0 => { reader.clear(); }
                1..5 => {
                    let pushed = writer.push(&frame[..frame.len().saturating_sub(off)], position, now_ms);
                    prop_assert!(off == 1 || pushed.is_err());
                }
                _ => {
                    prop_assert!(reader.pop(now_ms).is_none_or(|out| out.len() == len));
                }
            }
            let stats = reader.stats();
            prop_assert!(stats.depth_ms <= f64::from(max_ms) && stats.jitter_ms.is_finite());
        }
    }

    #[test]
    fn tones_and_keys_are_made_or_refused(
        keys in prop_oneof!["[0-9A-D*#]{0,3}", ".{0,3}"],
        format in formats(),
        frequency in numbers(),
        on in prop_oneof![0.0..40.0, numbers().prop_filter("a long time", |number| !(100.0..1e4).contains(number))],
        off in prop_oneof![0.0..40.0, numbers().prop_filter("a long time", |number| !(100.0..1e4).contains(number))],
        level in numbers(),
    ) {
        for made in [generate_tone(frequency, on, format, level), generate_dtmf(&keys, format, on, off, level)] {
            match made {
                Ok(audio) => prop_assert!(audio.len().is_multiple_of(format.sample_bytes())),
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }
    }

    #[test]
    fn detectors_take_anything(format in formats(), chunks in chunks()) {
        let mut detector = DtmfDetector::new(format);
        for chunk in chunks {
            let keys = detector.feed(&chunk);
            prop_assert!(keys.chars().all(|key| "0123456789ABCD*#".contains(key)));
        }
        detector.reset();
    }

    #[test]
    fn concealers_take_anything(format in formats(), repeat_ms in any::<u32>(), chunks in chunks()) {
        let mut concealer = Concealer::new(format, repeat_ms, Underrun::Hold);
        for mut chunk in chunks {
            concealer.heard(&chunk);
            prop_assert!(concealer.fill(&mut chunk));
        }
    }
}
