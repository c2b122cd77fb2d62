//! What is heard where audio is missing: nothing, silence, or the last sound again and again, fading.

use crate::{AudioFormat, Encoding, StreamConverter};

/// How long the fade takes: after so long a loss a repeated sound is a noise of its own. G.711 appendix I falls silent at this time too.
const FADE_MS: u32 = 60;

/// What stands in for audio that is missing when its turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Underrun {
    /// Nothing.
    None,
    /// Digital silence.
    Silence,
    /// The last sound again and again, fading for 60 ms, then silence.
    #[default]
    Hold,
}

/// Fills in for audio that is missing.
///
/// ```
/// use trunkline_core::{AudioFormat, Concealer, Encoding, Underrun};
///
/// let phone = AudioFormat::new(Encoding::Mulaw, 8_000, 1)?;
/// let mut concealer = Concealer::new(phone, 20, Underrun::Hold);
/// concealer.heard(&[0x80; 160]);
/// let mut out = [0; 160];
/// assert!(concealer.fill(&mut out));
/// assert_eq!(out[0], 0x80);
/// # Ok::<(), trunkline_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Concealer {
    underrun: Underrun,
    encoding: Encoding,
    to_linear: StreamConverter,
    from_linear: StreamConverter,
    channels: usize,
    sample_bytes: usize,
    fade_samples: usize,
    /// What was heard last, without a gap, and how much of it is kept.
    last: Vec<u8>,
    longest: usize,
    /// Where in it the next repetition goes on.
    at: usize,
    /// The samples of each channel that were filled in since.
    filled: usize,
}

impl Concealer {
    /// Makes a concealer that repeats the last `repeat_ms`; before the first audio it makes silence.
    #[must_use]
    pub fn new(format: AudioFormat, repeat_ms: u32, underrun: Underrun) -> Self {
        let linear = format.as_linear();
        let samples = (format.sample_rate() * repeat_ms.clamp(1, 1_000) / 1_000) as usize;
        Self {
            underrun,
            encoding: format.encoding(),
            to_linear: StreamConverter::new(format, linear),
            from_linear: StreamConverter::new(linear, format),
            channels: usize::from(format.channels()),
            sample_bytes: format.sample_bytes(),
            fade_samples: (format.sample_rate() * FADE_MS / 1_000) as usize,
            last: Vec::new(),
            longest: samples * format.sample_bytes(),
            at: 0,
            filled: 0,
        }
    }

    /// Takes note of what is heard now, in whole samples.
    pub fn heard(&mut self, audio: &[u8]) {
        if self.underrun != Underrun::Hold || audio.is_empty() {
            return;
        }
        // What was heard before a gap is no longer the last sound.
        let spent = if self.filled > 0 {
            self.last.len()
        } else {
            (self.last.len() + audio.len())
                .saturating_sub(self.longest)
                .min(self.last.len())
        };
        self.last.drain(..spent);
        let tail = audio.len().saturating_sub(self.longest);
        self.last.extend_from_slice(&audio[tail..]);
        self.at = 0;
        self.filled = 0;
    }

    /// Fills whole samples that are missing, and returns whether it has.
    pub fn fill(&mut self, out: &mut [u8]) -> bool {
        if self.underrun == Underrun::None {
            return false;
        }
        let whole = out.len() - out.len() % self.sample_bytes;
        if self.underrun == Underrun::Silence
            || self.filled >= self.fade_samples
            || self.last.is_empty()
            || !self.repeat(&mut out[..whole])
        {
            out.fill(self.encoding.silence());
        }
        true
    }

    /// Goes on with the last sound, more softly sample by sample.
    fn repeat(&mut self, out: &mut [u8]) -> bool {
        for byte in &mut *out {
            *byte = self.last[self.at];
            self.at = (self.at + 1) % self.last.len();
        }
        let mut linear = self.to_linear.convert(out);
        let samples = linear.as_chunks_mut::<2>().0;
        for moment in samples.chunks_exact_mut(self.channels) {
            let left = self.fade_samples.saturating_sub(self.filled);
            for sample in moment {
                *sample =
                    scaled(i16::from_le_bytes(*sample), left, self.fade_samples).to_le_bytes();
            }
            self.filled = self.filled.saturating_add(1);
        }
        self.from_linear.convert_into(&linear, out).is_ok()
    }
}

/// A sample times `part / whole`, where `part` is not the larger one.
fn scaled(sample: i16, part: usize, whole: usize) -> i16 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "the fade has a few thousand samples, and the result is not larger than the sample"
    )]
    let scaled = (i64::from(sample) * part as i64 / whole as i64) as i16;
    scaled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(encoding: Encoding, rate: u32, channels: u16) -> AudioFormat {
        AudioFormat::new(encoding, rate, channels).unwrap_or_else(|error| unreachable!("{error}"))
    }

    fn filled(concealer: &mut Concealer, len: usize) -> Vec<u8> {
        let mut out = vec![1; len];
        assert!(concealer.fill(&mut out));
        out
    }

    fn loud() -> Vec<u8> {
        [12_000_i16; 160]
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect()
    }

    #[test]
    fn the_last_frame_fades_in_three_and_silence_follows() {
        let mut concealer =
            Concealer::new(format(Encoding::Linear16, 8_000, 1), 20, Underrun::Hold);
        assert_eq!(filled(&mut concealer, 320), [0; 320]);
        concealer.heard(&loud());
        let mut faded = Vec::new();
        for _ in 0..3 {
            faded.extend_from_slice(&filled(&mut concealer, 320));
        }
        let faded: Vec<i16> = crate::pcm::samples(&faded).collect();
        assert_eq!(faded[..2], [12_000, 11_975]);
        assert!(faded.windows(2).all(|pair| pair[0] - pair[1] == 25));
        for _ in 0..2 {
            assert_eq!(filled(&mut concealer, 320), [0; 320]);
        }
        concealer.heard(&loud());
        assert_ne!(filled(&mut concealer, 320), [0; 320]);
    }

    #[test]
    fn audio_in_pieces_is_repeated_as_if_it_had_come_at_once() {
        let phone = format(Encoding::Mulaw, 8_000, 1);
        let sound: Vec<u8> = (0..400_u32)
            .map(|place| (place % 97).to_le_bytes()[0])
            .collect();
        let (mut whole, mut pieces) = (
            Concealer::new(phone, 20, Underrun::Hold),
            Concealer::new(phone, 20, Underrun::Hold),
        );
        whole.heard(&sound);
        for piece in sound.chunks(37) {
            pieces.heard(piece);
        }
        let expected = filled(&mut whole, 400);
        let mut got = Vec::new();
        for len in [1, 159, 200, 40] {
            got.extend(filled(&mut pieces, len));
        }
        assert_eq!(got, expected);
        assert_eq!(got[0], sound[240]);
    }

    #[test]
    fn silence_is_that_of_the_encoding_and_channels_fade_together() {
        for (encoding, silence) in [(Encoding::Mulaw, 0xFF), (Encoding::Alaw, 0xD5)] {
            let mut concealer = Concealer::new(format(encoding, 8_000, 2), 20, Underrun::Hold);
            assert_eq!(filled(&mut concealer, 320), [silence; 320]);
            concealer.heard(&[0x80; 320]);
            for _ in 0..3 {
                let faded = filled(&mut concealer, 320);
                assert!(
                    faded
                        .as_chunks::<2>()
                        .0
                        .iter()
                        .all(|pair| pair[0] == pair[1])
                );
                assert_ne!(faded, [silence; 320]);
            }
            assert_eq!(filled(&mut concealer, 320), [silence; 320]);
        }
    }

    #[test]
    fn silence_and_nothing_can_be_asked_for() {
        let linear = format(Encoding::Linear16, 8_000, 1);
        let mut concealer = Concealer::new(linear, 20, Underrun::Silence);
        concealer.heard(&loud());
        assert_eq!(filled(&mut concealer, 320), [0; 320]);
        let mut concealer = Concealer::new(linear, 20, Underrun::None);
        concealer.heard(&loud());
        let mut out = [7; 4];
        assert!(!concealer.fill(&mut out));
        assert_eq!(out, [7; 4]);
    }
}
