//! The ring buffer.

use std::sync::Mutex;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use trunkline_core::{Consumer, Gauge, Producer, ring};

use crate::buffer;
use crate::errors::busy;
use crate::number::Integer;

/// Bytes from which copying takes longer than letting other threads run meanwhile.
const WORTH_DETACHING: usize = 256 * 1024;

/// 1 GiB.
const LARGEST: usize = 1 << 30;

/// A buffer of bytes between one thread that writes and one that reads, neither of which ever waits for the other.
///
/// Args:
///     capacity: The bytes that it holds, exactly.
///
/// Raises:
///     InvalidConfig: `capacity` is not from 1 byte to 1 GiB.
#[pyclass(frozen, module = "trunkline.audio")]
pub(crate) struct RingBuffer {
    producer: Mutex<Producer>,
    consumer: Mutex<Consumer>,
    gauge: Gauge,
}

#[pymethods]
impl RingBuffer {
    #[new]
    #[pyo3(signature = (*, capacity))]
    fn new(capacity: Integer) -> PyResult<Self> {
        let capacity = capacity.within("capacity", 1..=LARGEST)?;
        let (producer, consumer) = ring(capacity);
        Ok(Self {
            gauge: producer.gauge(),
            producer: Mutex::new(producer),
            consumer: Mutex::new(consumer),
        })
    }

    /// Write as much as there is room for and return how many bytes that is; the rest is refused and counted in `overrun`.
    ///
    /// Raises:
    ///     InvalidAudioData: `audio` is an array that does not hold bytes or 16-bit samples, or not without gaps.
    ///     RuntimeError: Another thread is writing.
    #[pyo3(signature = (audio, /))]
    fn write(&self, audio: &Bound<'_, PyAny>) -> PyResult<usize> {
        let bytes = buffer::audio(audio, 2)?;
        let bytes = bytes.as_bytes();
        let mut producer = self
            .producer
            .try_lock()
            .map_err(|_| busy("ring's writing end"))?;
        if bytes.len() < WORTH_DETACHING {
            return Ok(producer.write(bytes));
        }
        let producer = &mut *producer;
        Ok(audio.py().detach(|| producer.write(bytes)))
    }

    /// Read as much as there is, at most `size` bytes; what is missing is counted in `underrun`.
    ///
    /// Raises:
    ///     InvalidConfig: `size` is not from 0 bytes to 1 GiB.
    ///     RuntimeError: Another thread is reading or clearing.
    #[pyo3(signature = (size, /))]
    fn read<'py>(&self, py: Python<'py>, size: Integer) -> PyResult<Bound<'py, PyBytes>> {
        let size = size.within("size", 0..=LARGEST)?;
        let mut consumer = self
            .consumer
            .try_lock()
            .map_err(|_| busy("ring's reading end"))?;
        let there = consumer.claim(size);
        PyBytes::new_with(py, there, |out| {
            if there < WORTH_DETACHING {
                consumer.read(out);
            } else {
                let consumer = &mut *consumer;
                py.detach(|| consumer.read(out));
            }
            Ok(())
        })
    }

    /// Drop all that is in the ring, in constant time, and return how many bytes that was.
    ///
    /// Raises:
    ///     RuntimeError: Another thread is reading or clearing.
    fn clear(&self) -> PyResult<usize> {
        let mut consumer = self
            .consumer
            .try_lock()
            .map_err(|_| busy("ring's reading end"))?;
        Ok(consumer.clear())
    }

    /// The bytes that it holds at most.
    #[getter]
    fn capacity(&self) -> usize {
        self.gauge.capacity()
    }

    /// The bytes that were refused because it was full.
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
