//! The ring buffer.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use trunkline_core::{Concealer, Consumer, Gauge, Overflow, Producer, Ring, Underrun};

use crate::buffer;
use crate::errors::{InvalidConfig, invalid, raised};
use crate::exclusive::{Exclusive, caught};
use crate::format::format;
use crate::number::Integer;
use crate::policy;

/// Bytes from which copying takes longer than letting other threads run meanwhile.
const WORTH_DETACHING: usize = 256 * 1024;

/// 1 GiB.
const LARGEST: usize = 1 << 30;

/// The sound that is repeated where audio is missing, in milliseconds.
const REPEATED_MS: u32 = 20;

/// A buffer of bytes between one thread that writes and one that reads, neither of which waits for the other unless `overflow` is "block".
///
/// Args:
///     capacity: The bytes that it holds, exactly.
///     overflow: What happens to bytes that there is no room for, all counted in `overrun`: "drop_newest" refuses them; "drop_oldest" drops the
///         oldest bytes instead, unless they are being read at that very moment; "block" keeps `write` waiting until there is room.
///     block_ms: How long `write` waits at most, up to 10,000; what does not fit by then is refused. Other threads run meanwhile, but not an
///         event loop that it is called in: write from a thread of its own.
///     underrun: What `read` gives for bytes that are missing: "none" (it returns fewer), "silence", or "hold", the last 20 ms again and again,
///         fading for 60 ms, then silence.
///     audio_format: The format of the audio, which "silence" and "hold" need. With it only whole samples are written and read.
///
/// Raises:
///     InvalidConfig: `capacity` is not from 1 byte to 1 GiB of whole samples, a policy has no such name, or `audio_format` is missing.
#[pyclass(frozen, module = "trunkline.audio")]
pub(crate) struct RingBuffer {
    writer: Exclusive<Producer>,
    reader: Exclusive<Reader>,
    gauge: Gauge,
    blocks: bool,
    /// 1 where no format was given.
    sample_bytes: usize,
}

struct Reader {
    ring: Consumer,
    concealer: Option<Concealer>,
}

#[pymethods]
impl RingBuffer {
    #[new]
    #[pyo3(signature = (*, capacity, overflow = "drop_newest", block_ms = Integer::from(1000), underrun = "none", audio_format = None))]
    fn new(
        capacity: Integer,
        overflow: &str,
        block_ms: Integer,
        underrun: &str,
        audio_format: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let capacity = capacity.within("capacity", 1..=LARGEST)?;
        let overflow = policy::overflow(overflow, block_ms)?;
        let underrun = policy::underrun(underrun)?;
        let audio_format = audio_format.map(format).transpose()?;
        let concealer = match (underrun, audio_format) {
            (Underrun::None, _) => None,
            (_, Some(format)) => Some(Concealer::new(format, REPEATED_MS, underrun)),
            (_, None) => {
                let reason = "is needed to fill in what is missing";
                return Err(InvalidConfig::new_err(("audio_format", reason)));
            }
        };
        let sample_bytes = audio_format.map_or(1, trunkline_core::AudioFormat::sample_bytes);
        whole("capacity", capacity, sample_bytes)?;
        let made = || Ring::new(capacity).overflow(overflow).split();
        let (producer, ring) = caught("RingBuffer()", || made().map_err(raised))?;
        Ok(Self {
            gauge: producer.gauge(),
            writer: Exclusive::new("ring's writing end", producer),
            reader: Exclusive::new("ring's reading end", Reader { ring, concealer }),
            blocks: matches!(overflow, Overflow::Block(_)),
            sample_bytes,
        })
    }

    /// Write and return how many of the bytes are in the ring then; see `overflow` for what happens where there is no room.
    ///
    /// Raises:
    ///     InvalidAudioData: `audio` is an array that does not hold bytes or 16-bit samples, or not without gaps; or it ends inside a sample.
    ///     RuntimeError: Another thread is writing.
    #[pyo3(signature = (audio, /))]
    fn write(&self, audio: &Bound<'_, PyAny>) -> PyResult<usize> {
        let bytes = buffer::audio(audio, 2)?;
        let bytes = bytes.as_bytes();
        if !bytes.len().is_multiple_of(self.sample_bytes) {
            return Err(invalid(format!(
                "{} bytes end inside a sample",
                bytes.len()
            )));
        }
        self.writer.enter(|ring| {
            if self.blocks || bytes.len() >= WORTH_DETACHING {
                return Ok(audio.py().detach(|| ring.write(bytes)));
            }
            Ok(ring.write(bytes))
        })
    }

    /// Read as much as there is, at most `size` bytes; what is missing is counted in `underrun`, and filled in if `underrun` says so.
    ///
    /// Raises:
    ///     InvalidConfig: `size` is not from 0 bytes to 1 GiB of whole samples.
    ///     RuntimeError: Another thread is reading or clearing.
    #[pyo3(signature = (size, /))]
    fn read<'py>(&self, py: Python<'py>, size: Integer) -> PyResult<Bound<'py, PyBytes>> {
        let size = size.within("size", 0..=LARGEST)?;
        whole("size", size, self.sample_bytes)?;
        self.reader.enter(|Reader { ring, concealer }| {
            let there = ring.claim(size);
            let len = if concealer.is_some() { size } else { there };
            PyBytes::new_with(py, len, |out| {
                let (audio, missing) = out.split_at_mut(there);
                if there < WORTH_DETACHING {
                    ring.read(audio);
                } else {
                    py.detach(|| ring.read(audio));
                }
                if let Some(concealer) = concealer {
                    concealer.heard(audio);
                    concealer.fill(missing);
                }
                Ok(())
            })
        })
    }

    /// Drop all that is in the ring, in constant time, and return how many bytes that was.
    ///
    /// Raises:
    ///     RuntimeError: Another thread is reading or clearing.
    fn clear(&self) -> PyResult<usize> {
        self.reader.enter(|reader| Ok(reader.ring.clear()))
    }

    /// The bytes that it holds at most.
    #[getter]
    fn capacity(&self) -> usize {
        self.gauge.capacity()
    }

    /// The bytes that were dropped, old or new, because it was full.
    #[getter]
    fn overrun(&self) -> usize {
        self.gauge.overrun()
    }

    /// The bytes that were asked for while it was empty.
    #[getter]
    fn underrun(&self) -> usize {
        self.gauge.underrun()
    }

    fn __len__(&self) -> usize {
        self.gauge.filled()
    }
}

fn whole(name: &'static str, bytes: usize, sample_bytes: usize) -> PyResult<()> {
    if bytes.is_multiple_of(sample_bytes) {
        return Ok(());
    }
    let reason = format!("must be whole samples of {sample_bytes} bytes, got {bytes}");
    Err(InvalidConfig::new_err((name, reason)))
}
