//! The caller's last seconds as they came.

use std::collections::VecDeque;

/// A bounded memory of a stream of bytes; positions are bytes since its beginning.
///
/// It takes memory as it fills, and the oldest goes when it is full.
#[derive(Debug)]
pub(super) struct History {
    bytes: VecDeque<u8>,
    capacity: usize,
    end: u64,
}

impl History {
    pub(super) const fn new(capacity: usize) -> Self {
        Self {
            bytes: VecDeque::new(),
            capacity,
            end: 0,
        }
    }

    /// The position after the last byte.
    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// The position of the oldest byte that is kept.
    pub(super) fn start(&self) -> u64 {
        self.end - self.bytes.len() as u64
    }

    pub(super) fn push(&mut self, audio: &[u8]) {
        self.end += audio.len() as u64;
        let audio = &audio[audio.len().saturating_sub(self.capacity)..];
        let excess = (self.bytes.len() + audio.len()).saturating_sub(self.capacity);
        self.bytes.drain(..excess);
        self.bytes.extend(audio);
    }

    /// What is kept of `size` bytes from a position on, in two pieces.
    pub(super) fn from(&self, position: u64, size: usize) -> [&[u8]; 2] {
        let from = position.saturating_sub(self.start());
        let from = usize::try_from(from)
            .unwrap_or(usize::MAX)
            .min(self.bytes.len());
        let to = from.saturating_add(size).min(self.bytes.len());
        let (first, second) = self.bytes.as_slices();
        let of = |piece: usize| piece.min(first.len());
        [
            &first[of(from)..of(to)],
            &second[from - of(from)..to - of(to)],
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_is_the_end_of_the_stream(
            capacity in 0_usize..50,
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..10),
            position in 0_u64..300,
            size in 0_usize..100,
        ) {
            let mut history = History::new(capacity);
            let mut stream = Vec::new();
            for chunk in chunks {
                history.push(&chunk);
                stream.extend(chunk);
            }
            let start = stream.len().saturating_sub(capacity);
            prop_assert_eq!((history.start(), history.end()), (start as u64, stream.len() as u64));
            let from = usize::try_from(position).unwrap_or_default().clamp(start, stream.len());
            let expected = &stream[from..stream.len().min(from + size)];
            prop_assert_eq!(history.from(position, size).concat(), expected);
        }
    }
}
