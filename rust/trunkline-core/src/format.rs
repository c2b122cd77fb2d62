//! What raw audio is made of: encoding, sample rate, channels.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// The sample rates, in hertz, between which audio is converted.
pub const SAMPLE_RATES: [u32; 9] = [
    8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000,
];

/// How a sample is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// Signed 16-bit linear PCM, little-endian.
    Linear16,
    /// G.711 µ-law, one byte a sample.
    Mulaw,
    /// G.711 A-law, one byte a sample.
    Alaw,
}

impl Encoding {
    /// Bytes of one sample of one channel.
    #[must_use]
    pub const fn sample_bytes(self) -> usize {
        match self {
            Self::Linear16 => 2,
            Self::Mulaw | Self::Alaw => 1,
        }
    }

    /// The byte that digital silence is made of.
    pub(crate) const fn silence(self) -> u8 {
        match self {
            Self::Linear16 => 0,
            Self::Mulaw => 0xFF,
            Self::Alaw => 0xD5,
        }
    }

    /// The name, as [`FromStr`] reads it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linear16 => "linear16",
            Self::Mulaw => "mulaw",
            Self::Alaw => "alaw",
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Encoding {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "linear16" => Ok(Self::Linear16),
            "mulaw" => Ok(Self::Mulaw),
            "alaw" => Ok(Self::Alaw),
            _ => Err(Error::UnsupportedEncoding(name.to_owned())),
        }
    }
}

/// A format of raw audio; holding one means that it can be converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AudioFormat {
    encoding: Encoding,
    sample_rate: u32,
    channels: u16,
}

impl AudioFormat {
    /// Checks and holds a format.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedSampleRate`] or [`Error::UnsupportedChannels`].
    pub fn new(encoding: Encoding, sample_rate: u32, channels: u16) -> Result<Self, Error> {
        if !SAMPLE_RATES.contains(&sample_rate) {
            return Err(Error::UnsupportedSampleRate(sample_rate));
        }
        if !(1..=2).contains(&channels) {
            return Err(Error::UnsupportedChannels(channels));
        }
        Ok(Self {
            encoding,
            sample_rate,
            channels,
        })
    }

    /// What a telephone line can carry, in linear samples.
    pub(crate) const TELEPHONE: Self = Self {
        encoding: Encoding::Linear16,
        sample_rate: 8_000,
        channels: 1,
    };

    /// The same rate and channels in linear samples.
    pub(crate) const fn as_linear(self) -> Self {
        Self {
            encoding: Encoding::Linear16,
            ..self
        }
    }

    /// How a sample is written down.
    #[must_use]
    pub const fn encoding(self) -> Encoding {
        self.encoding
    }

    /// Samples a second, of each channel.
    #[must_use]
    pub const fn sample_rate(self) -> u32 {
        self.sample_rate
    }

    /// 1 for mono, 2 for interleaved stereo.
    #[must_use]
    pub const fn channels(self) -> u16 {
        self.channels
    }

    /// Bytes of one sample of all channels.
    #[must_use]
    pub const fn sample_bytes(self) -> usize {
        self.encoding.sample_bytes() * self.channels as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_that_cannot_be_converted_cannot_be_made() {
        assert_eq!(
            AudioFormat::new(Encoding::Mulaw, 8_001, 1),
            Err(Error::UnsupportedSampleRate(8_001))
        );
        assert_eq!(
            AudioFormat::new(Encoding::Mulaw, 8_000, 3),
            Err(Error::UnsupportedChannels(3))
        );
        assert_eq!(
            "mp3".parse::<Encoding>(),
            Err(Error::UnsupportedEncoding("mp3".to_owned()))
        );
    }

    #[test]
    fn encodings_are_read_as_they_are_written() {
        for encoding in [Encoding::Linear16, Encoding::Mulaw, Encoding::Alaw] {
            assert_eq!(encoding.to_string().parse(), Ok(encoding));
        }
    }
}
