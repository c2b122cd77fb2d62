//! The low-pass filters of the resampler: how long, how steep, and in which order their taps are stored.
//!
//! A filter between two rates must stop what the lower rate cannot carry. Its slope lies symmetrically about half the lower rate, from 0.85
//! to 1.15 of it: at 8 kHz it passes all that a telephone passes (3.4 kHz) and stops everything from 4.6 kHz up. A slope ending at 4.0 kHz
//! would be twice as long and twice as late, for a band in which a telephone has nothing to say.
//!
//! The window is Kaiser's (J. F. Kaiser, 1974), whose parameter trades slope against attenuation in closed form. Its length is the shortest
//! for [`ATTENUATION_DB`], rounded up to what the kernels work on at a time; the extra length buys attenuation, not slope.

use std::f64::consts::PI;
use std::sync::OnceLock;

use crate::SAMPLE_RATES;

/// The least attenuation of images and aliases, with room for the rounding to 16 bits.
const ATTENUATION_DB: f64 = 85.0;

/// The width of the slope, as a part of the lower sample rate.
const SLOPE: f64 = 0.15;

/// Taps of a phase are a multiple of this where each output has its own phase; see [`dot`](crate::resample).
pub(crate) const LANES: usize = 16;

/// A linear-phase low-pass filter, split into the phases in which its taps meet the input.
#[derive(Debug)]
pub(crate) struct Filter {
    /// Outputs of one period.
    pub(crate) up: usize,
    /// Inputs of one period.
    pub(crate) down: usize,
    /// Inputs that each output is made of.
    pub(crate) taps: usize,
    /// The middle of the filter, its group delay, in steps of 1 / (`up` · input rate) seconds.
    pub(crate) centre: usize,
    /// `up` rows of `taps` coefficients, oldest input first; each row's sum is 1.
    coefficients: Box<[f32]>,
}

impl Filter {
    /// The filter between two of [`SAMPLE_RATES`], designed when it is first asked for: in 0.05 ms between telephone and
    /// model, in one to three where 44.1 kHz or a part of it is involved.
    pub(crate) fn between(from: u32, to: u32) -> &'static Self {
        static FILTERS: [OnceLock<Filter>; SAMPLE_RATES.len() * SAMPLE_RATES.len()] =
            [const { OnceLock::new() }; SAMPLE_RATES.len() * SAMPLE_RATES.len()];
        let place = |rate| {
            SAMPLE_RATES
                .iter()
                .position(|&known| known == rate)
                .unwrap_or_else(|| unreachable!("a format has no rate of {rate} Hz"))
        };
        FILTERS[place(from) * SAMPLE_RATES.len() + place(to)].get_or_init(|| Self::design(from, to))
    }

    /// The coefficients of one phase, oldest input first.
    pub(crate) fn phase(&self, phase: usize) -> &[f32] {
        &self.coefficients[phase * self.taps..][..self.taps]
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "numbers of taps are small and positive, and coefficients are kept in single precision"
    )]
    fn design(from: u32, to: u32) -> Self {
        let divisor = greatest_common_divisor(from, to);
        let (up, down) = ((to / divisor) as usize, (from / divisor) as usize);
        let (input_rate, lower_rate) = (f64::from(from), f64::from(from.min(to)));
        let slope = SLOPE * lower_rate / input_rate;

        let shortest = (kaiser_length(ATTENUATION_DB, slope)).ceil() as usize;
        let taps = if down == 1 {
            shortest
        } else {
            shortest.next_multiple_of(LANES)
        };
        // Where no input is skipped, a middle that lies on an input lets each input complete one output of every phase.
        let centre = if down == 1 {
            taps / 2 * up
        } else {
            (taps * up - 1) / 2
        };
        let reach = centre.min(taps * up - 1 - centre) as f64 + 1.0;
        let beta = kaiser_beta(kaiser_attenuation(taps as f64, slope));
        let cutoff = lower_rate / (input_rate * up as f64);
        // Both halves of the filter are alike, so each distance from the middle is worked out once.
        let bessel = Bessel::new();
        let half: Vec<f64> = (0..=centre.max(taps * up - 1 - centre))
            .map(|offset| {
                let edge = offset as f64 / reach;
                let inside = 1.0 - edge * edge;
                if inside <= 0.0 {
                    0.0
                } else {
                    sinc(offset as f64 * cutoff) * bessel.i0(beta * inside.sqrt())
                }
            })
            .collect();
        let tap = |index: usize| half[index.abs_diff(centre)];

        let mut coefficients = Vec::with_capacity(up * taps);
        for phase in 0..up {
            let row: Vec<f64> = (0..taps).rev().map(|age| tap(phase + age * up)).collect();
            // A row that sums to 1 keeps a constant constant: no phase is louder than another.
            let sum: f64 = row.iter().sum();
            coefficients.extend(row.iter().map(|tap| (tap / sum) as f32));
        }
        Self {
            up,
            down,
            taps,
            centre,
            coefficients: coefficients.into_boxed_slice(),
        }
    }
}

/// The length, in samples, at which a Kaiser window reaches an attenuation over a slope given in cycles a sample.
fn kaiser_length(attenuation: f64, slope: f64) -> f64 {
    (attenuation - 7.95) / (14.36 * slope)
}

/// The inverse of [`kaiser_length`].
fn kaiser_attenuation(length: f64, slope: f64) -> f64 {
    7.95 + 14.36 * slope * length
}

/// The window's parameter for an attenuation above 50 dB.
fn kaiser_beta(attenuation: f64) -> f64 {
    0.1102 * (attenuation - 8.7)
}

/// The modified Bessel function of the first kind and order zero, by its power series.
struct Bessel {
    /// 1 / k²: the series is summed thousands of times, and multiplying is much faster than dividing.
    factors: [f64; 64],
}

impl Bessel {
    fn new() -> Self {
        let mut k = 0.0;
        let factors = std::array::from_fn(|_| {
            k += 1.0;
            1.0 / (k * k)
        });
        Self { factors }
    }

    /// The function where `x` is below 20, as a window's parameter is: the terms that are left out are below the rounding.
    fn i0(&self, x: f64) -> f64 {
        let quarter = x * x / 4.0;
        let (mut sum, mut term) = (1.0, 1.0);
        for factor in self.factors {
            term *= quarter * factor;
            sum += term;
            if term <= sum * 1e-16 {
                break;
            }
        }
        sum
    }
}

fn sinc(x: f64) -> f64 {
    if x.abs() < 1e-12 {
        1.0
    } else {
        (PI * x).sin() / (PI * x)
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs() -> impl Iterator<Item = (u32, u32)> {
        SAMPLE_RATES.into_iter().flat_map(|from| {
            SAMPLE_RATES
                .into_iter()
                .filter(move |&to| to != from)
                .map(move |to| (from, to))
        })
    }

    /// The filter's response in decibels at a frequency in hertz, from its taps at `up` times the input rate.
    #[expect(clippy::cast_precision_loss, reason = "indices are small")]
    fn response_db(filter: &Filter, input_rate: u32, frequency: f64) -> f64 {
        let step = 2.0 * PI * frequency / (f64::from(input_rate) * filter.up as f64);
        let (mut re, mut im) = (0.0, 0.0);
        for phase in 0..filter.up {
            for (age, &tap) in filter.phase(phase).iter().rev().enumerate() {
                let angle = step * (phase + age * filter.up) as f64;
                re += f64::from(tap) * angle.cos();
                im -= f64::from(tap) * angle.sin();
            }
        }
        20.0 * (f64::hypot(re, im) / filter.up as f64).log10()
    }

    #[test]
    fn the_ratio_of_every_pair_is_exact() {
        for (from, to) in pairs() {
            let filter = Filter::between(from, to);
            assert_eq!(
                u64::from(from) * filter.up as u64,
                u64::from(to) * filter.down as u64
            );
            if filter.down == 1 {
                assert!(filter.centre.is_multiple_of(filter.up));
            } else {
                assert!(filter.taps.is_multiple_of(LANES));
            }
        }
    }

    #[test]
    fn every_pair_passes_its_band_and_stops_the_rest() {
        for (from, to) in pairs() {
            let filter = Filter::between(from, to);
            let lower = f64::from(from.min(to));
            for step in 0..=8 {
                let pass = lower * (0.0125 + 0.4125 * f64::from(step) / 8.0);
                let ripple = response_db(filter, from, pass).abs();
                assert!(ripple < 0.01, "{from} to {to}: {ripple} dB at {pass} Hz");
                let stop = lower * (0.575 + 0.425 * f64::from(step) / 8.0);
                let rest = response_db(filter, from, stop);
                assert!(rest < -84.0, "{from} to {to}: {rest} dB at {stop} Hz");
            }
        }
    }

    #[test]
    fn no_pair_is_late() {
        for (from, to) in pairs() {
            let filter = Filter::between(from, to);
            #[expect(clippy::cast_precision_loss, reason = "indices are small")]
            let delay = 1e3 * filter.centre as f64 / (f64::from(from) * filter.up as f64);
            assert!(delay < 3.1, "{from} to {to}: {delay} ms");
        }
    }
}
