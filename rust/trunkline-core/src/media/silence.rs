//! How long the caller has been silent, as heard in the audio itself.

use crate::{AudioFormat, Encoding, alaw_decode, mulaw_decode};

/// Measures the silence that a stream of audio ends with.
#[derive(Debug)]
pub(super) struct Silence {
    format: AudioFormat,
    /// The mean square of samples below which audio is silence.
    threshold: f64,
    seconds: f64,
}

impl Silence {
    /// `quiet_dbfs` is the level, relative to full scale, below which audio is silence.
    pub(super) fn new(format: AudioFormat, quiet_dbfs: f64) -> Self {
        let rms = 32_768.0 * 10_f64.powf(quiet_dbfs / 20.0);
        Self {
            format,
            threshold: rms * rms,
            seconds: 0.0,
        }
    }

    /// The audio goes on; half a sample at its end is not looked at.
    pub(super) fn hear(&mut self, audio: &[u8]) {
        let energy = match self.format.encoding() {
            Encoding::Mulaw => energy(audio.iter().map(|&code| mulaw_decode(code))),
            Encoding::Alaw => energy(audio.iter().map(|&code| alaw_decode(code))),
            Encoding::Linear16 => {
                let samples = audio.as_chunks().0.iter();
                energy(samples.map(|&sample| i16::from_le_bytes(sample)))
            }
        };
        let samples = number((audio.len() / self.format.encoding().sample_bytes()) as u64);
        if samples > 0.0 && energy / samples < self.threshold {
            let rate = f64::from(self.format.sample_rate()) * f64::from(self.format.channels());
            self.seconds += samples / rate;
        } else if samples > 0.0 {
            self.seconds = 0.0;
        }
    }

    /// Somebody was heard by other means.
    pub(super) fn reset(&mut self) {
        self.seconds = 0.0;
    }

    pub(super) const fn seconds(&self) -> f64 {
        self.seconds
    }
}

/// The sum of the squares of samples.
fn energy(samples: impl Iterator<Item = i16>) -> f64 {
    number(
        samples
            .map(|sample| u64::from(u32::from(sample.unsigned_abs()).pow(2)))
            .sum(),
    )
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a level needs no more than 52 bits"
)]
fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{alaw_encode, mulaw_encode};

    #[test]
    fn silence_counts_until_something_is_heard() {
        for (encoding, code) in [
            (Encoding::Mulaw, mulaw_encode as fn(i16) -> u8),
            (Encoding::Alaw, alaw_encode),
        ] {
            let Ok(format) = AudioFormat::new(encoding, 8_000, 1) else {
                unreachable!("a telephone's format")
            };
            let mut silence = Silence::new(format, -46.0);
            silence.hear(&[code(0); 800]);
            silence.hear(&[code(100); 800]);
            assert!((silence.seconds() - 0.2).abs() < 1e-9);
            silence.hear(&[]);
            assert!((silence.seconds() - 0.2).abs() < 1e-9);
            silence.hear(&[code(2_000); 160]);
            assert!(silence.seconds() <= 0.0);
        }
    }

    #[test]
    fn stereo_lasts_half_as_long() {
        let Ok(format) = AudioFormat::new(Encoding::Linear16, 16_000, 2) else {
            unreachable!("a format")
        };
        let mut silence = Silence::new(format, -46.0);
        silence.hear(&[0; 641]);
        assert!((silence.seconds() - 0.01).abs() < 1e-9);
        silence.reset();
        assert!(silence.seconds() <= 0.0);
    }
}
