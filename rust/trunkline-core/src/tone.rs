//! Pure tones, in any format.

use std::f64::consts::TAU;

use crate::{AudioFormat, Error, convert};

/// The longest tone, in milliseconds: an hour.
const LONGEST_MS: f64 = 3_600_000.0;

/// Makes a sine of whole samples, which begins at zero.
///
/// The level is that of [`dbfs`](crate::dbfs): −3.01 is a sine at full scale, the loudest.
///
/// # Errors
///
/// [`Error::InvalidSetting`] if the frequency is not between zero and half of the sample rate, the duration not from zero to an hour, or the
/// level above −3.01.
pub fn generate_tone(
    frequency_hz: f64,
    duration_ms: f64,
    format: AudioFormat,
    level_dbfs: f64,
) -> Result<Vec<u8>, Error> {
    let samples = samples("duration_ms", duration_ms, format)?;
    sines(&[frequency_hz], samples, format, level_dbfs)
}

/// Checks a duration and counts its samples.
pub(crate) fn samples(
    name: &'static str,
    duration_ms: f64,
    format: AudioFormat,
) -> Result<usize, Error> {
    if !(0.0..=LONGEST_MS).contains(&duration_ms) {
        let reason = format!("must be from 0 ms to an hour, got {duration_ms}");
        return Err(Error::setting(name, reason));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an hour has less than 2^28 samples, and the duration is not negative"
    )]
    let samples = (f64::from(format.sample_rate()) * duration_ms / 1_000.0) as usize;
    Ok(samples)
}

/// Makes digital silence.
pub(crate) fn silence(samples: usize, format: AudioFormat) -> Vec<u8> {
    vec![format.encoding().silence(); samples * format.sample_bytes()]
}

/// Adds up sines of one amplitude that reach a level together.
pub(crate) fn sines(
    frequencies: &[f64],
    samples: usize,
    format: AudioFormat,
    level_dbfs: f64,
) -> Result<Vec<u8>, Error> {
    let (rate, channels) = (format.sample_rate(), format.channels());
    for &frequency in frequencies {
        if !(frequency > 0.0 && frequency < f64::from(rate) / 2.0) {
            let reason = format!("must be above 0 and below {} Hz, got {frequency}", rate / 2);
            return Err(Error::setting("frequency_hz", reason));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "there are one or two")]
    let count = frequencies.len() as f64;
    let amplitude = 10_f64.powf(level_dbfs / 20.0) * (2.0 / count).sqrt();
    if !(0.0..=1.001).contains(&(amplitude * count)) {
        let loudest = -10.0 * (2.0 * count).log10();
        let reason = format!("must be at most {loudest:.2}, got {level_dbfs}");
        return Err(Error::setting("level_dbfs", reason));
    }
    let mut linear = Vec::with_capacity(samples * 2 * usize::from(channels));
    for index in 0..samples {
        #[expect(
            clippy::cast_precision_loss,
            reason = "an hour has less than 2^28 samples"
        )]
        let moment = index as f64 / f64::from(rate);
        let sum: f64 = frequencies
            .iter()
            .map(|frequency| (TAU * (frequency * moment).fract()).sin())
            .sum();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it is clipped to 16 bits, which is what the cast does"
        )]
        let sample = (sum * amplitude * 32_767.0).round() as i16;
        for _ in 0..channels {
            linear.extend_from_slice(&sample.to_le_bytes());
        }
    }
    convert(&linear, format.as_linear(), format)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Encoding, dbfs, pcm};

    fn format(encoding: Encoding, rate: u32, channels: u16) -> AudioFormat {
        AudioFormat::new(encoding, rate, channels).unwrap_or_else(|error| unreachable!("{error}"))
    }

    fn made(frequency_hz: f64, duration_ms: f64, format: AudioFormat, level_dbfs: f64) -> Vec<u8> {
        generate_tone(frequency_hz, duration_ms, format, level_dbfs)
            .unwrap_or_else(|error| unreachable!("{error}"))
    }

    #[test]
    fn a_tone_has_its_level_length_and_frequency() {
        for rate in crate::SAMPLE_RATES {
            let audio = made(1_000.0, 1_000.0, format(Encoding::Linear16, rate, 1), -10.0);
            let samples: Vec<i16> = pcm::samples(&audio).collect();
            assert_eq!(samples.len(), rate as usize);
            assert!((dbfs(&samples) + 10.0).abs() < 0.01);
            let rises = samples
                .windows(2)
                .filter(|pair| pair[0] < 0 && pair[1] >= 0)
                .count();
            assert!((999..=1_000).contains(&rises), "{rises} periods");
        }
    }

    #[test]
    fn channels_are_alike_and_any_encoding_is_made() {
        let stereo = made(440.0, 20.0, format(Encoding::Linear16, 8_000, 2), -3.01);
        assert_eq!(stereo.len(), 640);
        assert!(
            stereo
                .as_chunks::<4>()
                .0
                .iter()
                .all(|both| both[..2] == both[2..])
        );
        assert_eq!(
            made(
                440.0,
                20.0,
                format(Encoding::Alaw, 8_000, 1),
                f64::NEG_INFINITY
            ),
            [0xD5; 160]
        );
        assert_eq!(
            made(440.0, 0.0, format(Encoding::Mulaw, 8_000, 1), -10.0),
            []
        );
    }

    #[test]
    fn what_no_tone_can_be_is_refused() {
        let phone = format(Encoding::Mulaw, 8_000, 1);
        for (frequency, duration, level, wrong) in [
            (0.0, 20.0, -10.0, "frequency_hz"),
            (4_000.0, 20.0, -10.0, "frequency_hz"),
            (f64::NAN, 20.0, -10.0, "frequency_hz"),
            (440.0, -1.0, -10.0, "duration_ms"),
            (440.0, f64::NAN, -10.0, "duration_ms"),
            (440.0, 3_600_001.0, -10.0, "duration_ms"),
            (440.0, 20.0, -2.9, "level_dbfs"),
            (440.0, 20.0, f64::NAN, "level_dbfs"),
        ] {
            let refused = generate_tone(frequency, duration, phone, level);
            assert!(matches!(refused, Err(Error::InvalidSetting { name, .. }) if name == wrong));
        }
    }
}
