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
//! # Conversion, and what it costs
//!
//! A resampler must stop what the lower rate cannot carry. How steeply it does so is paid for twice, in multiplications and in delay: the
//! filter here falls from 0.85 to 1.15 of half the lower rate (3.4 to 4.6 kHz at 8 kHz) and is 85 dB deep. With Kaiser's window that takes
//! 36 inputs an output from 8 kHz up and 2.25 ms; a slope that ended at 4.0 kHz would take twice both, for a band that telephones leave empty.
//!
//! ```
//! use trunkline_core::{AudioFormat, Encoding, StreamConverter};
//!
//! let phone = AudioFormat::new(Encoding::Mulaw, 8_000, 1)?;
//! let model = AudioFormat::new(Encoding::Linear16, 24_000, 1)?;
//! assert_eq!(StreamConverter::new(phone, model).delay_ms(), 2.25);
//! assert!(StreamConverter::new(model, phone).delay_ms() < 2.5);
//! # Ok::<(), trunkline_core::Error>(())
//! ```
//!
//! Chunks may end anywhere, lengths are told beforehand, and nobody needs to allocate:
//!
//! ```
//! # use trunkline_core::{AudioFormat, Encoding, StreamConverter};
//! # let phone = AudioFormat::new(Encoding::Mulaw, 8_000, 1)?;
//! # let model = AudioFormat::new(Encoding::Linear16, 24_000, 1)?;
//! let mut stream = StreamConverter::new(model, phone);
//! let mut out = [0; 160];
//! let needed = stream.output_len(961); // 20 ms and half a sample
//! assert_eq!(stream.convert_into(&[0; 961], &mut out), Ok(needed));
//! assert_eq!(stream.convert_into(&[0; 959], &mut out), Ok(160));
//! # Ok::<(), trunkline_core::Error>(())
//! ```
//!
//! Where the processor has AVX2 and FMA, which is found out at run time, the inner loops use them; a sample may differ by one from that of
//! the portable loops, and between chunkings on one machine by nothing.
//!
//! The filter between two rates is designed when the first converter between them is made, once in a process. That takes 0.05 ms from 8 to
//! 24 kHz, and one to three milliseconds where 44.1 kHz or a part of it is involved; make such a converter before the first call.
//!
//! # Buffers
//!
//! [`Ring`] makes the buffer between the task that produces audio and the one that plays it. The thread contract is in the types: one
//! [`Producer`], one [`Consumer`], neither of which ever waits for the other unless [`Overflow::Block`] says so. A [`Gauge`] shows to any
//! thread how full it is.
//!
//! [`JitterBuffer`] makes an even stream of what a network delivers unevenly: its [`JitterWriter`] takes frames, each with its [`Position`] in
//! the stream, and its [`JitterReader`] gives them out in order. What is missing there, or in a ring, a [`Concealer`] fills in.
//!
//! [`generate_dtmf`] and [`DtmfDetector`] are the two ends of a keypad.

mod arrival;
mod base64;
mod conceal;
mod convert;
mod dtmf;
mod error;
mod filter;
mod format;
mod g711;
mod jitter;
mod level;
pub mod media;
mod pcm;
mod resample;
mod ring;
pub mod scan;
#[cfg(target_arch = "x86_64")]
mod simd;
mod sync;
mod tone;
pub mod websocket;

pub use arrival::Position;
pub use conceal::{Concealer, Underrun};
pub use convert::{StreamConverter, convert};
pub use dtmf::{DtmfDetector, generate_dtmf};
pub use error::Error;
pub use format::{AudioFormat, Encoding, SAMPLE_RATES};
pub use g711::{alaw_decode, alaw_encode, mulaw_decode, mulaw_encode};
pub use jitter::{JitterBuffer, JitterGauge, JitterReader, JitterStats, JitterWriter};
pub use level::{dbfs, rms};
pub use ring::{Consumer, Gauge, Overflow, Producer, Ring};
pub use tone::generate_tone;
