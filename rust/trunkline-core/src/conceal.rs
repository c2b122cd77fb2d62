//! What is heard where a frame is missing: the last one again and again, fading, then silence.

use crate::{AudioFormat, StreamConverter};

/// How long the fade takes: after so long a loss a repeated sound is a noise of its own. G.711 appendix I falls silent at this time too.
const FADE_MS: u32 = 60;

#[derive(Debug, Clone)]
pub(crate) struct Concealer {
    to_linear: StreamConverter,
    from_linear: StreamConverter,
    channels: usize,
    fade_samples: usize,
    /// What was heard last.
    last: Vec<u8>,
    /// The samples of each channel that were concealed since.
    concealed: usize,
    /// What stands in for the missing frame.
    made: Vec<u8>,
}

impl Concealer {
    /// Makes a concealer for frames of a format; before the first frame it makes silence.
    pub(crate) fn new(format: AudioFormat, frame_bytes: usize) -> Self {
        let linear = format.as_linear();
        let mut from_linear = StreamConverter::new(linear, format);
        let linear_bytes = frame_bytes / format.sample_bytes() * linear.sample_bytes();
        Self {
            to_linear: StreamConverter::new(format, linear),
            last: from_linear.convert(&vec![0; linear_bytes]),
            from_linear,
            channels: usize::from(format.channels()),
            fade_samples: (format.sample_rate() * FADE_MS / 1_000) as usize,
            concealed: 0,
            made: Vec::new(),
        }
    }

    /// Takes the frame that is heard now, and lends it.
    pub(crate) fn heard(&mut self, frame: Vec<u8>) -> &[u8] {
        self.last = frame;
        self.concealed = 0;
        &self.last
    }

    /// Makes what is heard in place of the next frame.
    pub(crate) fn conceal(&mut self) -> &[u8] {
        let mut linear = self.to_linear.convert(&self.last);
        let samples = linear.as_chunks_mut::<2>().0;
        for moment in samples.chunks_exact_mut(self.channels) {
            let left = self.fade_samples.saturating_sub(self.concealed);
            for sample in moment {
                *sample =
                    scaled(i16::from_le_bytes(*sample), left, self.fade_samples).to_le_bytes();
            }
            self.concealed = self.concealed.saturating_add(1);
        }
        self.made = self.from_linear.convert(&linear);
        &self.made
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
    use crate::Encoding;

    fn format(encoding: Encoding, rate: u32, channels: u16) -> AudioFormat {
        AudioFormat::new(encoding, rate, channels).unwrap_or_else(|error| unreachable!("{error}"))
    }

    #[test]
    fn the_last_frame_fades_in_three_and_silence_follows() {
        let mut concealer = Concealer::new(format(Encoding::Linear16, 8_000, 1), 320);
        assert_eq!(concealer.conceal(), [0; 320]);
        let loud: Vec<u8> = [12_000_i16; 160]
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        assert_eq!(concealer.heard(loud.clone()), loud);
        let mut faded = Vec::new();
        for _ in 0..3 {
            faded.extend_from_slice(concealer.conceal());
        }
        let faded: Vec<i16> = crate::pcm::samples(&faded).collect();
        assert_eq!(faded[..2], [12_000, 11_975]);
        assert!(faded.windows(2).all(|pair| pair[0] - pair[1] == 25));
        for _ in 0..2 {
            assert_eq!(concealer.conceal(), [0; 320]);
        }
        assert_eq!(concealer.heard(loud.clone()), loud);
        assert_ne!(concealer.conceal(), [0; 320]);
    }

    #[test]
    fn silence_is_that_of_the_encoding_and_channels_fade_together() {
        for (encoding, silence) in [(Encoding::Mulaw, 0xFF), (Encoding::Alaw, 0xD5)] {
            let mut concealer = Concealer::new(format(encoding, 8_000, 2), 320);
            assert_eq!(concealer.conceal(), [silence; 320]);
            let _ = concealer.heard(vec![0x80; 320]);
            for _ in 0..3 {
                let faded = concealer.conceal();
                assert!(
                    faded
                        .as_chunks::<2>()
                        .0
                        .iter()
                        .all(|pair| pair[0] == pair[1])
                );
                assert_ne!(faded, [silence; 320]);
            }
            assert_eq!(concealer.conceal(), [silence; 320]);
        }
    }
}
