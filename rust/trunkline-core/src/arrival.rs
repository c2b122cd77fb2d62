//! When frames come: where each belongs in its stream, and how unevenly they arrive.

/// Where a frame belongs, as its sender has numbered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Position {
    /// One more for each frame, wrapping at 65,536.
    Sequence(u16),
    /// The time of its first sample, counted in samples and wrapping at 2³², as in RTP.
    Timestamp(u32),
}

impl Position {
    /// The number, what it wraps at, and what it grows by from frame to frame.
    fn numbered(self, frame_samples: u32) -> Numbered {
        match self {
            Self::Sequence(number) => Numbered {
                number: i64::from(number),
                modulus: 1 << 16,
                step: 1,
            },
            Self::Timestamp(number) => Numbered {
                number: i64::from(number),
                modulus: 1 << 32,
                step: i64::from(frame_samples),
            },
        }
    }
}

struct Numbered {
    number: i64,
    modulus: i64,
    step: i64,
}

/// The numbers of one stream, without their wraps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbering {
    frame_samples: u32,
    base: i64,
    /// The number of the frame that was accepted last; the next is within half a turn of it.
    reference: i64,
}

/// A frame's place in its stream: 0 is that of the first frame that came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) index: i64,
    number: i64,
    /// The frame's time in frames, which a timestamp may put between two places.
    pub(crate) frames: f64,
}

impl Numbering {
    pub(crate) fn starting(at: Position, frame_samples: u32) -> Self {
        let number = at.numbered(frame_samples).number;
        Self {
            frame_samples,
            base: number,
            reference: number,
        }
    }

    /// Finds the place of a position of the same kind as the first.
    pub(crate) fn locate(&self, position: Position) -> Place {
        let Numbered {
            number,
            modulus,
            step,
        } = position.numbered(self.frame_samples);
        let ahead = (number - self.reference).rem_euclid(modulus);
        let ahead = if ahead < modulus / 2 {
            ahead
        } else {
            ahead - modulus
        };
        let number = self.reference + ahead;
        let since = number - self.base;
        #[expect(
            clippy::cast_precision_loss,
            reason = "a stream of 2^52 samples lasts for thousands of years"
        )]
        let frames = since as f64 / step as f64;
        Place {
            index: (since + step / 2).div_euclid(step),
            number,
            frames,
        }
    }

    pub(crate) fn accept(&mut self, place: Place) {
        self.reference = place.number;
    }
}

/// The interarrival jitter of RFC 3550, sections 6.4.1 and A.8: the mean deviation of the time between two arrivals from the time between
/// what they carry, smoothed over sixteen frames.
///
/// All in milliseconds.
#[derive(Debug, Clone)]
pub(crate) struct Jitter {
    transit: Option<f64>,
    mean: f64,
    /// A pause of the sender looks like a late frame where frames have no timestamps; no deviation counts for more than this.
    largest: f64,
}

impl Jitter {
    const GAIN: f64 = 1.0 / 16.0;

    pub(crate) fn new(largest_ms: f64) -> Self {
        Self {
            transit: None,
            mean: 0.0,
            largest: largest_ms,
        }
    }

    pub(crate) fn arrived(&mut self, at_ms: f64, sent_ms: f64) {
        let transit = at_ms - sent_ms;
        if let Some(before) = self.transit.replace(transit) {
            let deviation = (transit - before).abs().min(self.largest);
            self.mean += (deviation - self.mean) * Self::GAIN;
        }
    }

    /// Forgets the last arrival, not the estimate: the next one begins a stream of its own on the same network.
    pub(crate) fn interrupt(&mut self) {
        self.transit = None;
    }

    pub(crate) fn mean_ms(&self) -> f64 {
        self.mean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(positions: impl IntoIterator<Item = Position>) -> Vec<i64> {
        let mut numbering: Option<Numbering> = None;
        positions
            .into_iter()
            .map(|position| {
                let numbering = numbering.get_or_insert(Numbering::starting(position, 160));
                let place = numbering.locate(position);
                numbering.accept(place);
                place.index
            })
            .collect()
    }

    #[test]
    fn numbers_wrap() {
        use Position::{Sequence, Timestamp};
        assert_eq!(
            places([65_534, 65_535, 0, 2, 1, 65_533].map(Sequence)),
            [0, 1, 2, 4, 3, -1]
        );
        let near_the_end = u32::MAX - 159;
        assert_eq!(
            places([near_the_end, 0, 320, 160, near_the_end - 160].map(Timestamp)),
            [0, 1, 3, 2, -1]
        );
        // Off by a few samples, a timestamp still names the nearest place.
        assert_eq!(places([1_000, 1_239, 1_241].map(Timestamp)), [0, 1, 2]);
    }

    #[test]
    fn numbers_go_on_after_many_turns() {
        let turns = (0_u16..=u16::MAX).cycle().step_by(1_000).take(700);
        let indices = places(turns.map(Position::Sequence));
        assert!(indices.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn jitter_is_the_mean_deviation() {
        let mut jitter = Jitter::new(1_000.0);
        for frame in 0..200_u32 {
            let sent = f64::from(frame) * 20.0;
            jitter.arrived(sent + f64::from(frame % 2) * 8.0, sent);
        }
        assert!((jitter.mean_ms() - 8.0).abs() < 0.01);
        jitter.interrupt();
        jitter.arrived(1e9, 0.0);
        assert!((jitter.mean_ms() - 8.0).abs() < 0.01);
        jitter.arrived(1e300, 0.0);
        assert!(jitter.mean_ms() < 8.0 + 1_000.0 / 16.0);
    }
}
