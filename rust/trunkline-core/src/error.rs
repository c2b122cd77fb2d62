//! What can be wrong with audio, or with what is said about it.

use std::fmt;

/// An audio format or audio data that cannot be handled.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The encoding is unknown, or not raw audio.
    UnsupportedEncoding(String),
    /// The sample rate, in hertz, is not one of [`SAMPLE_RATES`](crate::SAMPLE_RATES).
    UnsupportedSampleRate(u32),
    /// Only mono and stereo are handled.
    UnsupportedChannels(u16),
    /// The data ends inside a sample.
    PartialSample {
        /// Bytes of the data.
        len: usize,
        /// Bytes of one sample of all channels.
        sample_bytes: usize,
    },
    /// The text is not base64.
    InvalidBase64 {
        /// Characters of the text.
        len: usize,
        /// The first that does not belong to the alphabet; if all do, padding or length is wrong.
        at: Option<usize>,
    },
    /// The caller's memory cannot hold the result.
    OutputTooSmall {
        /// Bytes that are needed.
        needed: usize,
        /// Bytes that were offered.
        len: usize,
    },
    /// A frame that is not as long as the frames of its stream.
    FrameLength {
        /// Bytes of the frame.
        len: usize,
        /// Bytes of each frame of the stream.
        frame_bytes: usize,
    },
    /// A setting that cannot work.
    InvalidSetting {
        /// Which one.
        name: &'static str,
        /// Why, with the value.
        reason: String,
    },
}

impl Error {
    pub(crate) fn setting(name: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::InvalidSetting { name, reason }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnsupportedEncoding(name) => write!(f, "unsupported encoding {name:?}"),
            Self::UnsupportedSampleRate(rate) => write!(f, "unsupported sample rate {rate} Hz"),
            Self::UnsupportedChannels(channels) => {
                write!(f, "channels must be 1 or 2, got {channels}")
            }
            Self::PartialSample { len, sample_bytes } => {
                write!(f, "{len} bytes end inside a sample of {sample_bytes} bytes")
            }
            Self::InvalidBase64 { at: Some(at), .. } => {
                write!(f, "base64 is wrong at character {at}")
            }
            Self::InvalidBase64 { len, at: None } => {
                write!(f, "{len} characters of base64 are not whole")
            }
            Self::OutputTooSmall { needed, len } => {
                write!(f, "the output needs {needed} bytes, got {len}")
            }
            Self::FrameLength { len, frame_bytes } => {
                write!(f, "a frame has {frame_bytes} bytes, got {len}")
            }
            Self::InvalidSetting { name, reason } => write!(f, "{name}: {reason}"),
        }
    }
}

impl std::error::Error for Error {}
