//! From one sample rate to another, by the exact ratio of the two.
//!
//! This is the reference; on a processor with AVX2 the loops of `simd.rs` run instead.
//!
//! Output `n` lies at input time `n · down / up`. It is the sum of `taps` inputs around that time, weighted by the filter's phase there, so
//! it can be made as soon as the filter's later half has arrived: that is the delay. Each output is summed in an order of its own that does
//! not depend on where chunks begin and end, so any chunking gives the same samples, to the bit.

use std::array;

use crate::filter::{Filter, LANES};
use crate::pcm::round;
#[cfg(target_arch = "x86_64")]
use crate::simd::Avx2;

/// Outputs of one phase that are summed side by side, and outputs of any that are rounded so.
const BLOCK: usize = 32;

/// Which instructions the inner loops are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// Those that every processor has.
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
}

impl Kernel {
    /// Those of this processor.
    pub(crate) fn fastest() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = Avx2::detect() {
            return Self::Avx2(avx2);
        }
        Self::Portable
    }
}

/// A streaming resampler of one channel.
///
/// Between [`reset`](Self::reset) and [`finish`](Self::finish) it yields ⌈inputs · `up` / `down`⌉ samples, the first of them at the time of
/// the first input: the delay shows in when samples come, not in how many or at what place. Around its input it hears silence.
#[derive(Debug, Clone)]
pub(crate) struct Resampler {
    filter: &'static Filter,
    input_rate: u32,
    /// The inputs that are still needed, oldest first.
    window: Vec<f32>,
    /// Where in `window` the next output begins; past its end while inputs are skipped.
    start: usize,
    /// The filter's phase of the next output.
    phase: usize,
    taken: usize,
    given: usize,
    kernel: Kernel,
}

impl Resampler {
    /// Makes a resampler between two different rates of [`SAMPLE_RATES`](crate::SAMPLE_RATES), in hertz.
    pub(crate) fn new(from: u32, to: u32, kernel: Kernel) -> Self {
        let mut resampler = Self {
            filter: Filter::between(from, to),
            input_rate: from,
            window: Vec::new(),
            start: 0,
            phase: 0,
            taken: 0,
            given: 0,
            kernel,
        };
        resampler.reset();
        resampler
    }

    /// How many samples can be pulled once so many more were pushed.
    pub(crate) fn ready_after(&self, inputs: usize) -> usize {
        let Filter { up, down, taps, .. } = *self.filter;
        (self.window.len() + inputs)
            .checked_sub(self.start + taps)
            .map_or(0, |room| (room * up + up - 1 - self.phase) / down + 1)
    }

    /// Takes samples in.
    pub(crate) fn push(&mut self, samples: impl Iterator<Item = i16>) {
        let before = self.window.len();
        self.window.extend(samples.map(f32::from));
        self.taken += self.window.len() - before;
    }

    /// Fills `out`, which is no longer than [`ready_after(0)`](Self::ready_after).
    pub(crate) fn pull(&mut self, out: &mut [i16]) {
        let Filter { up, down, .. } = *self.filter;
        match self.kernel {
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(avx2) => {
                let inputs = self.window.get(self.start..).unwrap_or_default();
                avx2.pull(self.filter, self.phase, inputs, out);
            }
            Kernel::Portable if down == 1 => self.sweep_phases(out),
            Kernel::Portable => self.step_outputs(out),
        }
        let position = self.phase + out.len() * down;
        self.start += position / up;
        self.phase = position % up;
        self.given += out.len();

        let spent = self.start.min(self.window.len());
        self.window.drain(..spent);
        self.start -= spent;
    }

    /// How many samples are still owed for what was pushed.
    pub(crate) fn owed(&self) -> usize {
        (self.taken * self.filter.up).div_ceil(self.filter.down) - self.given
    }

    /// Fills `out`, which is [`owed`](Self::owed) long, and begins anew.
    pub(crate) fn finish(&mut self, out: &mut [i16]) {
        self.window
            .resize(self.window.len() + self.filter.taps, 0.0);
        self.pull(out);
        self.reset();
    }

    /// Forgets all that was pushed.
    pub(crate) fn reset(&mut self) {
        let Filter {
            up, taps, centre, ..
        } = *self.filter;
        self.window.clear();
        self.window.resize(taps - 1, 0.0);
        self.start = centre / up;
        self.phase = centre % up;
        self.taken = 0;
        self.given = 0;
    }

    /// How long after its own time a sample can be pulled, in milliseconds.
    pub(crate) fn delay_ms(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "filters are short")]
        let steps = self.filter.centre as f64 / self.filter.up as f64;
        1e3 * steps / f64::from(self.input_rate)
    }

    /// Makes outputs phase by phase: where no input is skipped, those of one phase are made of neighbouring inputs.
    fn sweep_phases(&self, out: &mut [i16]) {
        let up = self.filter.up;
        for first in 0..up.min(out.len()) {
            let position = self.phase + first;
            let row = self.filter.phase(position % up);
            let inputs = &self.window[self.start + position / up..];
            sweep(row, inputs, out[first..].iter_mut().step_by(up));
        }
    }

    /// Makes outputs one after the other.
    fn step_outputs(&self, out: &mut [i16]) {
        let Filter { up, down, taps, .. } = *self.filter;
        let (inputs, steps) = (down / up, down % up);
        let (mut start, mut phase) = (self.start, self.phase);
        for block in out.chunks_mut(BLOCK) {
            let mut sums = [0.0; BLOCK];
            for sum in sums.iter_mut().take(block.len()) {
                *sum = dot(self.filter.phase(phase), &self.window[start..][..taps]);
                start += inputs;
                phase += steps;
                if phase >= up {
                    start += 1;
                    phase -= up;
                }
            }
            block.copy_from_slice(&sums.map(round)[..block.len()]);
        }
    }
}

/// Weighs each run of neighbouring inputs with the same row: the first output begins at the first input, the second at the second.
fn sweep<'a>(row: &[f32], inputs: &[f32], mut out: impl ExactSizeIterator<Item = &'a mut i16>) {
    let mut at = 0;
    while out.len() >= BLOCK {
        let mut sums = [0.0; BLOCK];
        for (weight, run) in row.iter().zip(inputs[at..].windows(BLOCK)) {
            for (sum, input) in sums.iter_mut().zip(run) {
                *sum += weight * input;
            }
        }
        // The samples come first in `zip`, or it would take one output too many before it sees that they have ended.
        for (made, sample) in sums.map(round).into_iter().zip(out.by_ref()) {
            *sample = made;
        }
        at += BLOCK;
    }
    for sample in out {
        let mut sum = 0.0;
        for (weight, input) in row.iter().zip(&inputs[at..]) {
            sum += weight * input;
        }
        *sample = round(sum);
        at += 1;
    }
}

/// Weighs one run of inputs, as long as the row, which is whole [`LANES`].
fn dot(row: &[f32], inputs: &[f32]) -> f32 {
    let [a, b, c, d] = quarters(row, inputs);
    (a + c) + (b + d)
}

/// Sums every sixteenth product in a lane of its own, and every fourth lane.
///
/// Kept apart because the compiler, when it sees how the quarters are summed, arranges the lanes for that and not for the loop: twice as
/// slow.
#[inline(never)]
fn quarters(row: &[f32], inputs: &[f32]) -> [f32; 4] {
    let mut sums = [0.0; LANES];
    for (weights, run) in row
        .as_chunks::<LANES>()
        .0
        .iter()
        .zip(inputs.as_chunks::<LANES>().0)
    {
        for ((sum, weight), input) in sums.iter_mut().zip(weights).zip(run) {
            *sum += weight * input;
        }
    }
    array::from_fn(|lane| (sums[lane] + sums[lane + 8]) + (sums[lane + 4] + sums[lane + 12]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SAMPLE_RATES;
    use proptest::prelude::*;

    fn whole(from: u32, to: u32, input: &[i16]) -> Vec<i16> {
        with(Kernel::fastest(), from, to, input)
    }

    fn with(kernel: Kernel, from: u32, to: u32, input: &[i16]) -> Vec<i16> {
        let mut resampler = Resampler::new(from, to, kernel);
        let mut out = vec![0; resampler.ready_after(input.len())];
        resampler.push(input.iter().copied());
        resampler.pull(&mut out);
        let mut tail = vec![0; resampler.owed()];
        resampler.finish(&mut tail);
        out.extend(tail);
        out
    }

    fn rates() -> impl Strategy<Value = (u32, u32)> {
        (0..SAMPLE_RATES.len(), 0..SAMPLE_RATES.len())
            .prop_filter("the same rate needs no resampler", |(from, to)| from != to)
            .prop_map(|(from, to)| (SAMPLE_RATES[from], SAMPLE_RATES[to]))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_chunking_gives_the_same_samples(
            (from, to) in rates(),
            input in prop::collection::vec(any::<i16>(), 0..1500),
            sizes in prop::collection::vec(0_usize..200, 1..20),
            kernel in prop::sample::select(vec![Kernel::fastest(), Kernel::Portable]),
        ) {
            let mut resampler = Resampler::new(from, to, kernel);
            let (mut out, mut rest) = (Vec::new(), input.as_slice());
            for size in sizes.iter().cycle().take(input.len() + 1).chain([&input.len()]) {
                let (chunk, later) = rest.split_at(rest.len().min(*size));
                rest = later;
                let mut made = vec![0; resampler.ready_after(chunk.len())];
                resampler.push(chunk.iter().copied());
                resampler.pull(&mut made);
                out.extend(made);
            }
            let mut tail = vec![0; resampler.owed()];
            resampler.finish(&mut tail);
            out.extend(tail);
            prop_assert_eq!(out.len(), (input.len() * to as usize).div_ceil(from as usize));
            prop_assert!(out == with(kernel, from, to, &input));
        }
    }

    #[test]
    fn all_kernels_make_the_same_but_for_the_last_place_of_a_few() {
        let mut state = 1_u32;
        let noise: Vec<i16> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            i16::from_be_bytes([state.to_be_bytes()[0], state.to_be_bytes()[1]])
        })
        .take(5_000)
        .collect();
        for from in SAMPLE_RATES {
            for to in SAMPLE_RATES.into_iter().filter(|&to| to != from) {
                let portable = with(Kernel::Portable, from, to, &noise);
                let fastest = with(Kernel::fastest(), from, to, &noise);
                assert_eq!(portable.len(), fastest.len());
                let apart = |(a, b): (&i16, &i16)| a.abs_diff(*b);
                let differences: Vec<u16> = portable.iter().zip(&fastest).map(apart).collect();
                assert!(differences.iter().all(|&apart| apart <= 1));
                let differing: usize = differences.iter().copied().map(usize::from).sum();
                assert!(
                    differing * 200 < differences.len(),
                    "{from} to {to}: {differing}"
                );
            }
        }
    }

    #[test]
    fn a_constant_stays_itself_in_place() {
        for from in SAMPLE_RATES {
            for to in SAMPLE_RATES.into_iter().filter(|&to| to != from) {
                let out = whole(from, to, &vec![12_345; from as usize / 20]);
                let edge = to as usize / 200;
                assert!(
                    out[edge..out.len() - edge]
                        .iter()
                        .all(|&sample| sample == 12_345)
                );
            }
        }
    }

    #[test]
    fn an_impulse_keeps_its_time() {
        let mut input = [0; 480];
        input[240] = 20_000;
        let out = whole(8_000, 24_000, &input);
        assert_eq!(out.iter().position(|&sample| sample == 20_000), Some(720));
        let back = whole(24_000, 8_000, &out);
        let loudest = (0..back.len()).max_by_key(|&index| back[index]);
        assert_eq!(loudest, Some(240));
    }

    #[test]
    fn overshoot_is_clipped() {
        let square: Vec<i16> = (0..800)
            .map(|n| if n / 40 % 2 == 0 { i16::MAX } else { i16::MIN })
            .collect();
        let out = whole(8_000, 48_000, &square);
        assert!(out.contains(&i16::MAX) && out.contains(&i16::MIN));
        assert!(
            out.windows(2)
                .all(|pair| i32::from(pair[0]).abs_diff(i32::from(pair[1])) < 40_000)
        );
    }

    #[test]
    fn rounding_is_to_the_nearest() {
        let cases = [
            (0.4, 0),
            (0.6, 1),
            (-0.4, 0),
            (-0.6, -1),
            (1e9, i16::MAX),
            (-1e9, i16::MIN),
            (32_766.7, i16::MAX),
        ];
        for (sum, sample) in cases {
            assert_eq!(round(sum), sample, "{sum}");
        }
    }
}
