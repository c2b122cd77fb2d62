//! How loud linear audio is.

/// The root mean square of samples, in units of a sample: 0 for silence, 32,768 at most.
#[must_use]
pub fn rms(samples: &[i16]) -> f64 {
    if samples.is_empty() {
        return 0.0;
    }
    let energy: u64 = samples
        .iter()
        .map(|&sample| u64::from(sample.unsigned_abs()).pow(2))
        .sum();
    #[expect(
        clippy::cast_precision_loss,
        reason = "a level needs no more than 52 bits"
    )]
    let mean = energy as f64 / samples.len() as f64;
    mean.sqrt()
}

/// The level in decibels relative to full scale: 0 for a full-scale square wave, −3.01 for a full-scale sine, −∞ for silence.
#[must_use]
pub fn dbfs(samples: &[i16]) -> f64 {
    20.0 * (rms(samples) / 32_768.0).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_known_signals() {
        assert!(rms(&[]).abs() < f64::EPSILON);
        assert!((rms(&[3, -3, 3, -3]) - 3.0).abs() < 1e-12);
        assert!((rms(&[0, 5, 0, -5]) - (12.5_f64).sqrt()).abs() < 1e-12);
        assert!(dbfs(&[i16::MIN; 8]).abs() < 1e-12);
        assert!((dbfs(&[16_384; 8]) + 6.0206).abs() < 1e-4);
        for silence in [&[0; 160][..], &[]] {
            assert!(dbfs(silence) < f64::MIN);
        }
    }
}
