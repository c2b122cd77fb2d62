//! A frame of 20 ms through the converter, beside the multiply-accumulates of its filter alone.

use std::fmt;

use divan::{Bencher, black_box};
use trunkline_benches::multiply_accumulates;
use trunkline_core::{AudioFormat, Encoding, StreamConverter};

/// A pair of formats, and how many inputs each output is made of.
struct Pair {
    from: AudioFormat,
    to: AudioFormat,
    taps: usize,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from, self.to);
        let rates = (from.sample_rate() / 1_000, to.sample_rate() / 1_000);
        write!(
            f,
            "{} {} to {} {} kHz",
            from.encoding(),
            rates.0,
            to.encoding(),
            rates.1
        )
    }
}

fn pairs() -> impl Iterator<Item = Pair> {
    use Encoding::{Linear16, Mulaw};
    [
        ((Mulaw, 8_000), (Linear16, 16_000), 36),
        ((Mulaw, 8_000), (Linear16, 24_000), 36),
        ((Mulaw, 8_000), (Linear16, 48_000), 36),
        ((Linear16, 16_000), (Mulaw, 8_000), 80),
        ((Linear16, 24_000), (Mulaw, 8_000), 112),
        ((Linear16, 48_000), (Mulaw, 8_000), 224),
    ]
    .into_iter()
    .filter_map(|(from, to, taps)| {
        let format = |(encoding, rate)| AudioFormat::new(encoding, rate, 1).ok();
        Some(Pair {
            from: format(from)?,
            to: format(to)?,
            taps,
        })
    })
}

#[divan::bench(args = pairs(), sample_count = 2_000, sample_size = 20)]
fn a_bound(pair: &Pair) -> f32 {
    let outputs = pair.to.sample_rate() as usize / 50;
    multiply_accumulates(black_box(outputs * pair.taps))
}

#[divan::bench(args = pairs(), sample_count = 2_000, sample_size = 20)]
fn fastest(bencher: Bencher<'_, '_>, pair: &Pair) {
    frames(bencher, pair, StreamConverter::new(pair.from, pair.to));
}

#[divan::bench(args = pairs(), sample_count = 2_000, sample_size = 20)]
fn portable(bencher: Bencher<'_, '_>, pair: &Pair) {
    frames(bencher, pair, StreamConverter::portable(pair.from, pair.to));
}

fn frames(bencher: Bencher<'_, '_>, pair: &Pair, mut stream: StreamConverter) {
    let frame = frame(pair.from);
    let mut out = vec![0; stream.output_len(2 * frame.len())];
    bencher.bench_local(|| stream.convert_into(black_box(&frame), &mut out));
}

#[divan::bench(args = pairs(), sample_count = 2_000, sample_size = 20)]
fn wire_message(bencher: Bencher<'_, '_>, pair: &Pair) {
    let mut stream = StreamConverter::new(pair.from, pair.to);
    let text = vec![b'/'; frame(pair.from).len().div_ceil(3) * 4];
    bencher.bench_local(|| stream.convert_base64(black_box(&text)).map(str::len));
}

/// 20 ms that no branch predictor knows by heart.
fn frame(format: AudioFormat) -> Vec<u8> {
    let len = format.sample_rate() as usize / 50 * format.sample_bytes();
    (0..len)
        .map(|index| (index * 7_919 % 251).to_le_bytes()[0])
        .collect()
}

fn main() {
    divan::main();
}
