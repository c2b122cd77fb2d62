//! Streaming audio conversion and lock-free buffers for telephone calls.
//!
//! A telephone line speaks G.711 at 8 kHz, a model speaks linear PCM at 16 or 24 kHz. [`StreamConverter`] turns one into the other as the
//! audio comes, in chunks of any size, with filters that are clean to 16 bits and late by about 2 ms:
//!
//! ```
//! use trunkline_core::{AudioFormat, Encoding, StreamConverter};
//!
//! let phone = AudioFormat::new(Encoding::Mulaw, 8_000, 1)?;
//! let model = AudioFormat::new(Encoding::Linear16, 24_000, 1)?;
//! let mut stream = StreamConverter::new(phone, model);
//! let mut pcm = stream.convert(&[0xFF; 160]); // 20 ms of silence in,
//! pcm.extend(stream.flush());
//! assert_eq!(pcm.len(), 960); // 20 ms of silence out
//! # Ok::<(), trunkline_core::Error>(())
//! ```
//!
//! [`ring()`] makes the buffer between the task that produces audio and the one that plays it. The thread contract is in the types: one
//! [`Producer`], one [`Consumer`], neither of which ever waits for the other.

mod base64;
mod convert;
mod error;
mod filter;
mod format;
mod g711;
mod level;
mod pcm;
mod resample;
mod ring;
#[cfg(target_arch = "x86_64")]
mod simd;
mod sync;

pub use convert::{StreamConverter, convert};
pub use error::Error;
pub use format::{AudioFormat, Encoding, SAMPLE_RATES};
pub use g711::{alaw_decode, alaw_encode, mulaw_decode, mulaw_encode};
pub use level::{dbfs, rms};
pub use ring::{Consumer, Gauge, Producer, ring};
