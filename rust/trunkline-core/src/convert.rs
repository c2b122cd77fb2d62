//! From one audio format to another, as the audio comes.

use std::mem;

use crate::resample::{Kernel, Resampler};
use crate::{AudioFormat, Encoding, Error, base64, g711, pcm};

/// Bytes of the widest sample: 16 bits, stereo.
const WIDEST: usize = 4;

/// Converts a stream of audio from one format to another, in chunks of any size.
///
/// The law of lengths: all that `convert` and the last [`flush`](Self::flush) return is ⌈samples · new rate / old rate⌉ samples for as many
/// whole samples as came in, aligned with them in time. Each sample comes [`delay_ms`](Self::delay_ms) after its own time, because the
/// filter looks that far ahead; `flush` returns what is then still owed. Chunks may end anywhere, even inside a sample: the same bytes in
/// give the same bytes out.
///
/// Between equal formats bytes pass through untouched.
#[derive(Debug, Clone)]
pub struct StreamConverter {
    from: AudioFormat,
    to: AudioFormat,
    /// The beginning of a sample whose end has not come yet.
    carried: Vec<u8>,
    /// What came in, as linear samples; empty between calls, kept for its memory.
    read: Vec<i16>,
    tracks: Vec<Track>,
    message: Message,
}

/// What a wire message said and what it is answered with; kept for their memory.
#[derive(Debug, Clone, Default)]
struct Message {
    audio: Vec<u8>,
    converted: Vec<u8>,
    text: Vec<u8>,
}

/// One channel on its way.
#[derive(Debug, Clone)]
struct Track {
    resampler: Option<Resampler>,
    /// What the last call made of it, kept for its memory.
    made: Vec<i16>,
}

impl StreamConverter {
    /// Makes a converter between two formats.
    #[must_use]
    pub fn new(from: AudioFormat, to: AudioFormat) -> Self {
        Self::with_kernel(from, to, Kernel::fastest())
    }

    /// Makes a converter that uses only instructions that every processor has: the reference that [`new`](Self::new) is measured by.
    ///
    /// A sample of the two differs by one at most, and rarely.
    #[doc(hidden)]
    #[must_use]
    pub fn portable(from: AudioFormat, to: AudioFormat) -> Self {
        Self::with_kernel(from, to, Kernel::Portable)
    }

    fn with_kernel(from: AudioFormat, to: AudioFormat, kernel: Kernel) -> Self {
        let (old, new) = (from.sample_rate(), to.sample_rate());
        let track = Track {
            resampler: (old != new).then(|| Resampler::new(old, new, kernel)),
            made: Vec::new(),
        };
        Self {
            from,
            to,
            carried: Vec::with_capacity(WIDEST),
            read: Vec::new(),
            tracks: vec![track; usize::from(from.channels().min(to.channels()))],
            message: Message::default(),
        }
    }

    /// Whether bytes pass through untouched.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.from == self.to
    }

    /// How many bytes the next [`convert`](Self::convert) of so many bytes returns.
    #[must_use]
    pub fn output_len(&self, input_len: usize) -> usize {
        if self.is_identity() {
            return input_len;
        }
        let samples = (self.carried.len() + input_len) / self.from.sample_bytes();
        let made = self.tracks[0]
            .resampler
            .as_ref()
            .map_or(samples, |resampler| resampler.ready_after(samples));
        made * self.to.sample_bytes()
    }

    /// Converts a chunk into the caller's memory and returns how many bytes it has written.
    ///
    /// # Errors
    ///
    /// [`Error::OutputTooSmall`] if `out` is shorter than [`output_len`](Self::output_len); nothing was taken in then.
    pub fn convert_into(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        let out = exactly(self.output_len(input.len()), out)?;
        if self.is_identity() {
            out.copy_from_slice(input);
            return Ok(out.len());
        }
        let count = out.len() / self.to.sample_bytes();
        if self.from.channels() == 1 && self.carried.is_empty() {
            let (whole, part) =
                input.split_at(input.len() - input.len() % self.from.sample_bytes());
            let track = &mut self.tracks[0];
            match self.from.encoding() {
                Encoding::Linear16 => track.take(pcm::samples(whole), count),
                Encoding::Mulaw => {
                    track.take(whole.iter().map(|&code| g711::mulaw_decode(code)), count);
                }
                Encoding::Alaw => {
                    track.take(whole.iter().map(|&code| g711::alaw_decode(code)), count);
                }
            }
            self.carried.extend_from_slice(part);
        } else {
            self.read(input);
            self.spread(count);
        }
        self.write(out);
        Ok(out.len())
    }

    /// Converts a chunk.
    #[must_use]
    pub fn convert(&mut self, input: &[u8]) -> Vec<u8> {
        let mut out = vec![0; self.output_len(input.len())];
        let written = self.convert_into(input, &mut out);
        debug_assert_eq!(written, Ok(out.len()));
        out
    }

    /// Converts the chunk that a wire message carries as base64, and returns base64.
    ///
    /// ```
    /// # use trunkline_core::{AudioFormat, Encoding, StreamConverter};
    /// let mulaw = AudioFormat::new(Encoding::Mulaw, 8_000, 1)?;
    /// let alaw = AudioFormat::new(Encoding::Alaw, 8_000, 1)?;
    /// assert_eq!(StreamConverter::new(mulaw, alaw).convert_base64(b"//9/")?, "1dXV");
    /// # Ok::<(), trunkline_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::InvalidBase64`]; nothing was taken in then.
    pub fn convert_base64(&mut self, text: &[u8]) -> Result<&str, Error> {
        let mut message = mem::take(&mut self.message);
        let converted = base64::decode(text, &mut message.audio).and_then(|()| {
            message
                .converted
                .resize(self.output_len(message.audio.len()), 0);
            self.convert_into(&message.audio, &mut message.converted)
        });
        base64::encode(&message.converted, &mut message.text);
        self.message = message;
        converted?;
        Ok(str::from_utf8(&self.message.text)
            .unwrap_or_else(|_| unreachable!("base64 is written in ASCII")))
    }

    /// How many bytes [`flush`](Self::flush) returns.
    #[must_use]
    pub fn flush_len(&self) -> usize {
        let owed = self.tracks[0].resampler.as_ref().map_or(0, Resampler::owed);
        owed * self.to.sample_bytes()
    }

    /// Ends the stream into the caller's memory and returns how many bytes it has written; see [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// [`Error::OutputTooSmall`] if `out` is shorter than [`flush_len`](Self::flush_len); the stream goes on then.
    pub fn flush_into(&mut self, out: &mut [u8]) -> Result<usize, Error> {
        let out = exactly(self.flush_len(), out)?;
        let count = out.len() / self.to.sample_bytes();
        for track in &mut self.tracks {
            track.finish(count);
        }
        self.write(out);
        self.carried.clear();
        Ok(out.len())
    }

    /// Ends the stream and returns the rest of it; the converter is as new then. Part of a sample, if that is all that came, is dropped.
    #[must_use]
    pub fn flush(&mut self) -> Vec<u8> {
        let mut out = vec![0; self.flush_len()];
        let written = self.flush_into(&mut out);
        debug_assert_eq!(written, Ok(out.len()));
        out
    }

    /// Forgets the stream without ending it; the converter is as new then.
    pub fn reset(&mut self) {
        self.carried.clear();
        for resampler in self
            .tracks
            .iter_mut()
            .filter_map(|track| track.resampler.as_mut())
        {
            resampler.reset();
        }
    }

    /// How long after its own time a sample comes, in milliseconds: the group delay of the filter.
    #[must_use]
    pub fn delay_ms(&self) -> f64 {
        self.tracks[0]
            .resampler
            .as_ref()
            .map_or(0.0, Resampler::delay_ms)
    }

    /// Reads the samples that `input` completes and carries what is left.
    fn read(&mut self, mut input: &[u8]) {
        let sample_bytes = self.from.sample_bytes();
        if !self.carried.is_empty() {
            let missing = (sample_bytes - self.carried.len()).min(input.len());
            let (end, later) = input.split_at(missing);
            self.carried.extend_from_slice(end);
            input = later;
            if self.carried.len() < sample_bytes {
                return;
            }
            decode(self.from.encoding(), &self.carried, &mut self.read);
            self.carried.clear();
        }
        let (whole, part) = input.split_at(input.len() - input.len() % sample_bytes);
        decode(self.from.encoding(), whole, &mut self.read);
        self.carried.extend_from_slice(part);
    }

    /// Gives each track its channel of what was read.
    fn spread(&mut self, count: usize) {
        let stereo = self.from.channels() == 2;
        let mixed = stereo && self.to.channels() == 1;
        for (which, track) in self.tracks.iter_mut().enumerate() {
            if mixed {
                track.take(pcm::downmix(&self.read), count);
            } else if stereo {
                track.take(pcm::channel(&self.read, which), count);
            } else {
                track.take(self.read.iter().copied(), count);
            }
        }
        self.read.clear();
    }

    /// Writes what the tracks have made.
    fn write(&mut self, out: &mut [u8]) {
        let encoding = self.to.encoding();
        match (self.tracks.as_slice(), self.to.channels()) {
            ([only], 1) => encode(encoding, only.made.iter().copied(), out),
            ([only], _) => encode(
                encoding,
                only.made.iter().flat_map(|&both| [both, both]),
                out,
            ),
            ([left, right, ..], _) => {
                let pairs = left.made.iter().zip(&right.made);
                encode(
                    encoding,
                    pairs.flat_map(|(&left, &right)| [left, right]),
                    out,
                );
            }
            ([], _) => {}
        }
    }
}

impl Track {
    /// Takes samples in and makes the `count` that they complete.
    fn take(&mut self, samples: impl Iterator<Item = i16>, count: usize) {
        match &mut self.resampler {
            None => {
                self.made.clear();
                self.made.extend(samples);
            }
            Some(resampler) => {
                resampler.push(samples);
                self.made.resize(count, 0);
                resampler.pull(&mut self.made);
            }
        }
    }

    /// Makes the last `count` samples.
    fn finish(&mut self, count: usize) {
        self.made.resize(count, 0);
        if let Some(resampler) = &mut self.resampler {
            resampler.finish(&mut self.made);
        }
    }
}

/// Converts a whole piece of audio at once, as a [`StreamConverter`] that is flushed.
///
/// # Errors
///
/// [`Error::PartialSample`] if the formats differ and `audio` ends inside a sample.
pub fn convert(audio: &[u8], from: AudioFormat, to: AudioFormat) -> Result<Vec<u8>, Error> {
    let sample_bytes = from.sample_bytes();
    if from == to {
        return Ok(audio.to_vec());
    }
    if !audio.len().is_multiple_of(sample_bytes) {
        return Err(Error::PartialSample {
            len: audio.len(),
            sample_bytes,
        });
    }
    let mut stream = StreamConverter::new(from, to);
    let mut out = stream.convert(audio);
    out.append(&mut stream.flush());
    Ok(out)
}

fn exactly(needed: usize, out: &mut [u8]) -> Result<&mut [u8], Error> {
    let len = out.len();
    out.get_mut(..needed)
        .ok_or(Error::OutputTooSmall { needed, len })
}

fn decode(encoding: Encoding, bytes: &[u8], samples: &mut Vec<i16>) {
    match encoding {
        Encoding::Linear16 => samples.extend(pcm::samples(bytes)),
        Encoding::Mulaw => samples.extend(bytes.iter().map(|&code| g711::mulaw_decode(code))),
        Encoding::Alaw => samples.extend(bytes.iter().map(|&code| g711::alaw_decode(code))),
    }
}

fn encode(encoding: Encoding, samples: impl Iterator<Item = i16>, out: &mut [u8]) {
    match encoding {
        Encoding::Linear16 => {
            for (pair, sample) in out.as_chunks_mut().0.iter_mut().zip(samples) {
                *pair = sample.to_le_bytes();
            }
        }
        Encoding::Mulaw => {
            for (code, sample) in out.iter_mut().zip(samples) {
                *code = g711::mulaw_encode(sample);
            }
        }
        Encoding::Alaw => {
            for (code, sample) in out.iter_mut().zip(samples) {
                *code = g711::alaw_encode(sample);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SAMPLE_RATES;
    use proptest::prelude::*;

    fn format(encoding: Encoding, sample_rate: u32, channels: u16) -> AudioFormat {
        AudioFormat::new(encoding, sample_rate, channels)
            .unwrap_or_else(|error| unreachable!("{error}"))
    }

    fn formats() -> impl Strategy<Value = AudioFormat> {
        let encodings =
            prop::sample::select(vec![Encoding::Linear16, Encoding::Mulaw, Encoding::Alaw]);
        (
            encodings,
            prop::sample::select(SAMPLE_RATES.to_vec()),
            1_u16..=2,
        )
            .prop_map(|(encoding, rate, channels)| format(encoding, rate, channels))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_chunking_gives_the_same_bytes(
            from in formats(),
            to in formats(),
            mut input in prop::collection::vec(any::<u8>(), 0..1200),
            cuts in prop::collection::vec(0_usize..1200, 0..12),
        ) {
            input.truncate(input.len() / from.sample_bytes() * from.sample_bytes());
            let expected = convert(&input, from, to);
            prop_assert!(expected.is_ok());
            let samples = input.len() / from.sample_bytes();
            let exact = (samples * to.sample_rate() as usize).div_ceil(from.sample_rate() as usize);

            let mut stream = StreamConverter::new(from, to);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(input.len())).chain([0, input.len()]).collect();
            cuts.sort_unstable();
            let mut out = Vec::new();
            for pair in cuts.windows(2) {
                let told = stream.output_len(pair[1] - pair[0]);
                let chunk = stream.convert(&input[pair[0]..pair[1]]);
                prop_assert_eq!(told, chunk.len());
                out.extend(chunk);
            }
            out.extend(stream.flush());
            prop_assert_eq!(out.len(), exact * to.sample_bytes());
            prop_assert!(Ok(out) == expected);
        }
    }

    #[test]
    fn a_flushed_or_reset_converter_is_as_new() {
        let (from, to) = (
            format(Encoding::Linear16, 24_000, 2),
            format(Encoding::Mulaw, 8_000, 1),
        );
        let input: Vec<u8> = (0..=250).cycle().take(4_000).collect();
        let mut stream = StreamConverter::new(from, to);
        let first = [stream.convert(&input), stream.flush()].concat();
        let _ = stream.convert(&input[..33]);
        stream.reset();
        assert_eq!([stream.convert(&input), stream.flush()].concat(), first);
        let _ = stream.convert(&input[..33]);
        let _ = stream.flush();
        assert_eq!([stream.convert(&input), stream.flush()].concat(), first);
    }

    #[test]
    fn channels_are_split_doubled_and_mixed() {
        let mono = format(Encoding::Linear16, 8_000, 1);
        let stereo = format(Encoding::Linear16, 8_000, 2);
        assert_eq!(convert(&[1, 2], mono, stereo), Ok(vec![1, 2, 1, 2]));
        assert_eq!(convert(&[10, 0, 20, 0], stereo, mono), Ok(vec![15, 0]));
        let coded = format(Encoding::Mulaw, 8_000, 2);
        assert_eq!(
            convert(&[0, 0, 0xFF, 0x7F], stereo, coded),
            Ok(vec![0xFF, 0x80])
        );
    }

    #[test]
    fn part_of_a_sample_is_carried_but_not_converted_at_once() {
        let (from, to) = (
            format(Encoding::Linear16, 8_000, 1),
            format(Encoding::Mulaw, 8_000, 1),
        );
        assert_eq!(
            convert(&[0; 3], from, to),
            Err(Error::PartialSample {
                len: 3,
                sample_bytes: 2
            })
        );
        let mut stream = StreamConverter::new(from, to);
        assert_eq!(stream.convert(&[0]), []);
        assert_eq!(stream.convert(&[0]), [0xFF]);
    }

    #[test]
    fn too_small_an_output_takes_nothing_in() {
        let (from, to) = (
            format(Encoding::Mulaw, 8_000, 1),
            format(Encoding::Linear16, 24_000, 1),
        );
        let mut stream = StreamConverter::new(from, to);
        let needed = stream.output_len(160);
        let error = Error::OutputTooSmall { needed, len: 10 };
        assert_eq!(stream.convert_into(&[0xFF; 160], &mut [0; 10]), Err(error));
        assert_eq!(stream.flush_len(), 0);
        assert_eq!(
            stream.convert_into(&[0xFF; 160], &mut [0; 1_000]),
            Ok(needed)
        );
    }

    #[test]
    fn equal_formats_pass_through() {
        let both = format(Encoding::Linear16, 16_000, 2);
        let mut stream = StreamConverter::new(both, both);
        assert!(stream.is_identity());
        assert_eq!(stream.convert(&[1, 2, 3]), [1, 2, 3]);
        assert_eq!(stream.flush(), []);
    }
}
