//! A buffer that turns frames as a network delivers them into frames as a telephone plays them: in order, one after another.

use std::collections::VecDeque;

use crate::arrival::{Jitter, Numbering, Place, Position};
use crate::conceal::Concealer;
use crate::{AudioFormat, Error};

/// How far a number may jump ahead or fall behind before the sender is thought to have begun anew (RFC 3550, section A.1), in frames.
const MAX_DROPOUT: i64 = 3_000;
const MAX_MISORDER: i64 = -100;

/// Frames between two looks at whether more is held than jitter explains.
const WINDOW: u32 = 25;

/// How many mean deviations the target depth covers.
const DEVIATIONS: f64 = 3.0;

/// Holds frames back until enough of them are there to ride out the network's jitter, puts them in order and fills in those that are lost.
///
/// It knows no clock: each call says what time it is, in milliseconds from any beginning.
///
/// - A frame waits until `target_ms` of audio are held, or the oldest has waited that long; then each [`pop`](Self::pop) gives the next.
/// - A frame that is missing when its turn comes is concealed: the one before is repeated, fading for 60 ms, then silence.
/// - When nothing is left (an underrun), concealment bridges the time until the target depth is reached again; no frame's turn is lost
///   meanwhile.
/// - The target follows the measured jitter, from `target_ms` to half of `max_ms`. If more than the target (and a frame) was held all through
///   half a second, a frame is left out; beyond `max_ms`, the oldest ones are.
/// - Numbers that jump by more than 3,000 frames ahead or 100 behind, twice in order, are those of a stream that begins anew.
///
/// ```
/// use trunkline_core::{AudioFormat, Encoding, JitterBuffer, Position};
///
/// let phone = AudioFormat::new(Encoding::Mulaw, 8_000, 1)?;
/// let mut jitter = JitterBuffer::new(phone, 40, 1_000, 20)?;
/// jitter.push(&[2; 160], Position::Sequence(1), 0.0)?;
/// assert_eq!(jitter.pop(10.0), None); // 20 ms are not 40
/// jitter.push(&[1; 160], Position::Sequence(0), 15.0)?;
/// assert_eq!(jitter.pop(20.0), Some(&[1; 160][..]));
/// assert_eq!(jitter.pop(40.0), Some(&[2; 160][..]));
/// # Ok::<(), trunkline_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct JitterBuffer {
    frame_bytes: usize,
    frame_samples: u32,
    frame_ms: u32,
    target_ms: u32,
    max_ms: u32,
    /// From the one whose turn is next; the last is there, others may be missing.
    frames: VecDeque<Option<Vec<u8>>>,
    /// The place of the first of them.
    next: i64,
    numbering: Option<Numbering>,
    /// The place that a stream which begins anew would go on with.
    suspect: Option<i64>,
    jitter: Jitter,
    concealer: Concealer,
    stage: Stage,
    /// The least that was held in this window, in frames, and the pops that are left of it.
    least: usize,
    window: u32,
    counts: JitterStats,
}

/// What the next pop gives.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    /// Nothing: frames are collected, since the time when the first came.
    Priming { since_ms: Option<f64> },
    /// A frame.
    Playing,
    /// Concealment: it ran dry, and frames are collected again.
    Refilling { since_ms: Option<f64> },
}

/// What a [`JitterBuffer`] has seen and holds. What was pushed was popped, or dropped as late, duplicate or overrun, or is held.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct JitterStats {
    /// Frames that came.
    pub pushed: u64,
    /// Frames that were given out; concealment is not counted.
    pub popped: u64,
    /// Frames that were dropped because their turn was over, or because their numbers belong to no known stream.
    pub late: u64,
    /// Frames that were missing when their turn came.
    pub lost: u64,
    /// Frames that were dropped because they were there already.
    pub duplicate: u64,
    /// How often it ran dry.
    pub underruns: u64,
    /// Frames that were dropped because too much was held.
    pub overruns: u64,
    /// Milliseconds from the frame whose turn is next to the newest.
    pub depth_ms: f64,
    /// Milliseconds that are collected before frames are given out.
    pub target_ms: f64,
    /// The mean deviation of arrivals (RFC 3550), in milliseconds.
    pub jitter_ms: f64,
}

impl JitterBuffer {
    /// Makes a buffer for frames of `frame_ms`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if frames are not from 1 to 200 ms, `max_ms` not from one to 3,000 frames, or `target_ms` is beyond it.
    pub fn new(
        format: AudioFormat,
        target_ms: u32,
        max_ms: u32,
        frame_ms: u32,
    ) -> Result<Self, Error> {
        if !(1..=200).contains(&frame_ms) {
            let reason = format!("must be from 1 to 200, got {frame_ms}");
            return Err(Error::setting("frame_ms", reason));
        }
        if !(frame_ms..=frame_ms * 3_000).contains(&max_ms) {
            let reason = format!("must be from 1 to 3,000 frames of {frame_ms} ms, got {max_ms}");
            return Err(Error::setting("max_ms", reason));
        }
        if target_ms > max_ms {
            let reason = format!("must not be more than max_ms, {max_ms}, got {target_ms}");
            return Err(Error::setting("target_ms", reason));
        }
        let frame_samples = format.sample_rate() * frame_ms / 1_000;
        let frame_bytes = frame_samples as usize * format.sample_bytes();
        Ok(Self {
            frame_bytes,
            frame_samples,
            frame_ms,
            target_ms,
            max_ms,
            frames: VecDeque::new(),
            next: 0,
            numbering: None,
            suspect: None,
            jitter: Jitter::new(f64::from(max_ms)),
            concealer: Concealer::new(format, frame_bytes),
            stage: Stage::Priming { since_ms: None },
            least: usize::MAX,
            window: WINDOW,
            counts: JitterStats::default(),
        })
    }

    /// Bytes of a frame.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        self.frame_bytes
    }

    /// Takes a frame.
    ///
    /// # Errors
    ///
    /// [`Error::FrameLength`]; [`Error::InvalidSetting`] if the time is not finite, or positions of both kinds are mixed.
    pub fn push(&mut self, frame: &[u8], position: Position, now_ms: f64) -> Result<(), Error> {
        let (len, frame_bytes) = (frame.len(), self.frame_bytes);
        if len != frame_bytes {
            return Err(Error::FrameLength { len, frame_bytes });
        }
        if !now_ms.is_finite() {
            return Err(Error::setting(
                "now_ms",
                format!("must be finite, got {now_ms}"),
            ));
        }
        let Some(place) = self.locate(position)? else {
            self.counts.pushed += 1;
            self.counts.late += 1;
            return Ok(());
        };
        self.counts.pushed += 1;
        self.jitter
            .arrived(now_ms, place.frames * f64::from(self.frame_ms));
        self.keep(frame, place.index);
        if let Stage::Priming { since_ms } | Stage::Refilling { since_ms } = &mut self.stage
            && !self.frames.is_empty()
        {
            since_ms.get_or_insert(now_ms);
        }
        Ok(())
    }

    /// Gives out the frame whose turn it is, or what conceals it; `None` before enough has been collected for the first time.
    pub fn pop(&mut self, now_ms: f64) -> Option<&[u8]> {
        match self.stage {
            Stage::Priming { since_ms } if !self.is_primed(since_ms, now_ms) => return None,
            Stage::Refilling { since_ms } if !self.is_primed(since_ms, now_ms) => {
                return Some(self.concealer.conceal());
            }
            Stage::Playing if self.frames.is_empty() => {
                self.counts.underruns += 1;
                self.stage = Stage::Refilling { since_ms: None };
                return Some(self.concealer.conceal());
            }
            Stage::Playing => self.leave_out_what_jitter_does_not_need(),
            Stage::Priming { .. } | Stage::Refilling { .. } => self.play_from_the_oldest(),
        }
        self.next += 1;
        if let Some(frame) = self.frames.pop_front().flatten() {
            self.counts.popped += 1;
            Some(self.concealer.heard(frame))
        } else {
            self.counts.lost += 1;
            Some(self.concealer.conceal())
        }
    }

    /// Drops all that is held, as new but for the counts and the measured jitter, and returns how many frames that were.
    pub fn clear(&mut self) -> usize {
        let held = self.frames.drain(..).flatten().count();
        self.numbering = None;
        self.suspect = None;
        self.jitter.interrupt();
        self.stage = Stage::Priming { since_ms: None };
        held
    }

    /// What it has seen and holds.
    #[must_use]
    pub fn stats(&self) -> JitterStats {
        JitterStats {
            depth_ms: self.depth_ms(),
            target_ms: self.target_ms(),
            jitter_ms: self.jitter.mean_ms(),
            ..self.counts
        }
    }

    /// Finds a frame's place; `None` if it belongs to no known stream.
    fn locate(&mut self, position: Position) -> Result<Option<Place>, Error> {
        let Some(numbering) = &mut self.numbering else {
            return self.begin(position).map(Some);
        };
        let place = numbering.locate(position)?;
        if (MAX_MISORDER..=MAX_DROPOUT).contains(&(place.index - self.next)) {
            self.suspect = None;
            numbering.accept(place);
            return Ok(Some(place));
        }
        if self.suspect == Some(place.index) {
            let playing = !matches!(self.stage, Stage::Priming { .. });
            self.counts.overruns += self.clear() as u64;
            if playing {
                self.stage = Stage::Refilling { since_ms: None };
            }
            return self.begin(position).map(Some);
        }
        self.suspect = Some(place.index + 1);
        Ok(None)
    }

    /// Takes a position as that of a stream's first frame.
    fn begin(&mut self, position: Position) -> Result<Place, Error> {
        let numbering = Numbering::starting(position, self.frame_samples);
        let place = numbering.locate(position)?;
        self.numbering = Some(numbering);
        self.next = place.index;
        Ok(place)
    }

    /// Puts a frame into its place, unless its turn is over or it is there already.
    fn keep(&mut self, frame: &[u8], index: i64) {
        let Ok(ahead) = usize::try_from(index - self.next) else {
            self.keep_before_the_first(frame, index);
            return;
        };
        if let Some(Some(_)) = self.frames.get(ahead) {
            self.counts.duplicate += 1;
            return;
        }
        let excess = (ahead + 1).saturating_sub(self.capacity());
        for _ in 0..excess {
            self.skip();
        }
        let ahead = ahead - excess;
        if self.frames.len() <= ahead {
            self.frames.resize(ahead + 1, None);
        }
        self.frames[ahead] = Some(frame.to_vec());
    }

    /// Nothing has been played yet while it is priming: what is older than the first may still come first.
    fn keep_before_the_first(&mut self, frame: &[u8], index: i64) {
        let room = self.capacity() - self.frames.len();
        let behind = usize::try_from(self.next - index).unwrap_or(usize::MAX);
        if !matches!(self.stage, Stage::Priming { .. }) || behind > room {
            self.counts.late += 1;
            return;
        }
        for _ in 1..behind {
            self.frames.push_front(None);
        }
        self.frames.push_front(Some(frame.to_vec()));
        self.next = index;
    }

    fn is_primed(&self, since_ms: Option<f64>, now_ms: f64) -> bool {
        let target_ms = self.target_ms();
        let waited = since_ms.is_some_and(|since_ms| now_ms - since_ms >= target_ms);
        !self.frames.is_empty() && (waited || self.depth_ms() >= target_ms)
    }

    fn play_from_the_oldest(&mut self) {
        while let Some(None) = self.frames.front() {
            self.skip();
        }
        self.stage = Stage::Playing;
        self.begin_window();
    }

    fn leave_out_what_jitter_does_not_need(&mut self) {
        self.least = self.least.min(self.frames.len());
        self.window -= 1;
        if self.window > 0 {
            return;
        }
        if self.ms(self.least.saturating_sub(1)) > self.target_ms() {
            self.skip();
        }
        self.begin_window();
    }

    fn begin_window(&mut self) {
        self.least = usize::MAX;
        self.window = WINDOW;
    }

    /// Passes over the frame whose turn is next.
    fn skip(&mut self) {
        match self.frames.pop_front().flatten() {
            Some(_) => self.counts.overruns += 1,
            None => self.counts.lost += 1,
        }
        self.next += 1;
    }

    /// The frames that it holds at most.
    fn capacity(&self) -> usize {
        (self.max_ms / self.frame_ms) as usize
    }

    fn depth_ms(&self) -> f64 {
        self.ms(self.frames.len())
    }

    fn target_ms(&self) -> f64 {
        let least = f64::from(self.target_ms);
        let most = f64::from(self.max_ms) / 2.0;
        let needed = f64::from(self.frame_ms) + DEVIATIONS * self.jitter.mean_ms();
        needed.min(most).max(least)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "it holds some thousand frames at most"
    )]
    fn ms(&self, frames: usize) -> f64 {
        frames as f64 * f64::from(self.frame_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Encoding;
    use proptest::prelude::*;

    const FRAME: usize = 160;

    fn buffer(target_ms: u32, max_ms: u32) -> JitterBuffer {
        AudioFormat::new(Encoding::Mulaw, 8_000, 1)
            .and_then(|phone| JitterBuffer::new(phone, target_ms, max_ms, 20))
            .unwrap_or_else(|error| unreachable!("{error}"))
    }

    fn push(buffer: &mut JitterBuffer, sequence: u16, now_ms: f64) {
        let frame = [u8::try_from(sequence & 0x7F).unwrap_or(0); FRAME];
        assert_eq!(
            buffer.push(&frame, Position::Sequence(sequence), now_ms),
            Ok(())
        );
    }

    /// The numbers of the frames that come out until the buffer is dry; 255 for concealment.
    fn drain(buffer: &mut JitterBuffer) -> Vec<u8> {
        let mut numbers = Vec::new();
        while buffer.stats().depth_ms > 0.0 {
            let before = buffer.stats().popped;
            let number = buffer.pop(1e9).map_or(255, |frame| frame[0]);
            numbers.push(if buffer.stats().popped > before {
                number
            } else {
                255
            });
        }
        numbers
    }

    #[test]
    fn frames_come_out_in_order_with_gaps_concealed() {
        let mut buffer = buffer(120, 1_000);
        for (at, sequence) in [
            (0.0, 65_535),
            (20.0, 1),
            (30.0, 65_534),
            (35.0, 1),
            (60.0, 4),
        ] {
            assert_eq!(buffer.pop(at), None);
            push(&mut buffer, sequence, at);
        }
        assert_eq!(drain(&mut buffer), [126, 127, 255, 1, 255, 255, 4]);
        push(&mut buffer, 2, 70.0);
        let stats = buffer.stats();
        assert_eq!((stats.pushed, stats.popped, stats.lost), (6, 4, 3));
        assert_eq!((stats.duplicate, stats.late, stats.underruns), (1, 1, 0));
    }

    #[test]
    fn a_short_stream_is_played_when_it_has_waited_long_enough() {
        let mut buffer = buffer(60, 1_000);
        push(&mut buffer, 0, 100.0);
        assert_eq!(buffer.pop(159.0), None);
        assert!(buffer.pop(160.0).is_some_and(|frame| frame == [0; FRAME]));
    }

    #[test]
    fn running_dry_costs_no_frame_its_turn() {
        let mut buffer = buffer(40, 1_000);
        push(&mut buffer, 0, 0.0);
        push(&mut buffer, 1, 20.0);
        assert_eq!(drain(&mut buffer), [0, 1]);
        for at in [80.0, 100.0, 120.0, 140.0] {
            assert!(buffer.pop(at).is_some());
        }
        assert_eq!(buffer.pop(160.0), Some(&[0xFF; FRAME][..]));
        push(&mut buffer, 2, 161.0);
        push(&mut buffer, 4, 162.0);
        push(&mut buffer, 3, 163.0);
        assert_eq!(drain(&mut buffer), [2, 3, 4]);
        let stats = buffer.stats();
        assert_eq!((stats.underruns, stats.lost, stats.late), (1, 0, 0));
    }

    #[test]
    fn the_oldest_give_way_when_too_much_is_held() {
        let mut buffer = buffer(60, 100);
        for sequence in 0..8 {
            push(&mut buffer, sequence, 0.0);
        }
        push(&mut buffer, 10, 0.0);
        assert_eq!(buffer.stats().overruns, 6);
        assert_eq!(drain(&mut buffer), [6, 7, 255, 255, 10]);
    }

    #[test]
    fn the_target_follows_the_jitter_between_its_limits() {
        let mut buffer = buffer(60, 1_000);
        for sequence in 0..100_u16 {
            push(&mut buffer, sequence, f64::from(sequence) * 20.0);
            let _ = buffer.pop(f64::from(sequence) * 20.0);
        }
        assert!((buffer.stats().target_ms - 60.0).abs() < f64::EPSILON);
        for sequence in 100..200_u16 {
            push(
                &mut buffer,
                sequence,
                f64::from(sequence) * 20.0 + f64::from(sequence % 2) * 30.0,
            );
            let _ = buffer.pop(f64::from(sequence) * 20.0);
        }
        assert!((buffer.stats().target_ms - 110.0).abs() < 1.0);
        for sequence in 200..300_u16 {
            push(&mut buffer, sequence, f64::from(sequence % 2) * 1e6);
            let _ = buffer.pop(0.0);
        }
        assert!((buffer.stats().target_ms - 500.0).abs() < f64::EPSILON);
    }

    #[test]
    fn what_a_burst_leaves_behind_is_worked_off() {
        let mut buffer = buffer(60, 1_000);
        for sequence in 0..30 {
            push(&mut buffer, sequence, f64::from(sequence) * 20.0);
        }
        for sequence in 30..1_000_u16 {
            let now_ms = f64::from(sequence) * 20.0;
            push(&mut buffer, sequence, now_ms);
            assert!(buffer.pop(now_ms).is_some());
        }
        let stats = buffer.stats();
        assert!(stats.depth_ms <= 80.0, "{} ms are held", stats.depth_ms);
        assert_eq!((stats.lost, stats.underruns), (0, 0));
    }

    #[test]
    fn a_sender_that_begins_anew_is_followed() {
        let mut buffer = buffer(20, 1_000);
        push(&mut buffer, 5, 0.0);
        push(&mut buffer, 6, 0.0);
        assert_eq!(buffer.pop(0.0), Some(&[5; FRAME][..]));
        push(&mut buffer, 30_000, 20.0); // one alone could be a stray
        push(&mut buffer, 7, 20.0);
        push(&mut buffer, 0x9C40, 40.0);
        push(&mut buffer, 0x9C41, 40.0);
        let stats = buffer.stats();
        assert_eq!((stats.late, stats.overruns), (2, 2));
        assert_eq!(drain(&mut buffer), [0x41]);
    }

    #[test]
    fn clearing_begins_anew() {
        let mut buffer = buffer(20, 1_000);
        push(&mut buffer, 500, 0.0);
        push(&mut buffer, 502, 0.0);
        assert!(buffer.pop(0.0).is_some());
        assert_eq!(buffer.clear(), 1);
        assert_eq!(buffer.pop(1e9), None);
        push(&mut buffer, 100, 0.0);
        assert_eq!(drain(&mut buffer), [100]);
    }

    #[test]
    fn what_cannot_be_a_frame_is_refused_and_not_counted() {
        let mut buffer = buffer(20, 1_000);
        let wrong = buffer.push(&[0; 159], Position::Sequence(0), 0.0);
        assert_eq!(
            wrong,
            Err(Error::FrameLength {
                len: 159,
                frame_bytes: 160
            })
        );
        for time in [f64::NAN, f64::INFINITY] {
            assert!(
                buffer
                    .push(&[0; FRAME], Position::Sequence(0), time)
                    .is_err()
            );
        }
        push(&mut buffer, 0, 0.0);
        assert!(
            buffer
                .push(&[0; FRAME], Position::Timestamp(160), 0.0)
                .is_err()
        );
        assert_eq!(buffer.stats().pushed, 1);
        let phone = AudioFormat::new(Encoding::Mulaw, 8_000, 1);
        for (target_ms, max_ms, frame_ms) in [
            (60, 1_000, 0),
            (60, 1_000, 201),
            (0, 19, 20),
            (0, 60_001, 20),
            (61, 60, 20),
        ] {
            let made = phone
                .clone()
                .and_then(|phone| JitterBuffer::new(phone, target_ms, max_ms, frame_ms));
            assert!(matches!(made, Err(Error::InvalidSetting { .. })));
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(i32, f64),
        Pop(f64),
        Clear,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            8 => (-4..9_i32, 0.0..40.0).prop_map(|(ahead, ms)| Step::Push(ahead, ms)),
            8 => (0.0..40.0).prop_map(Step::Pop),
            1 => (any::<i32>(), any::<f64>()).prop_map(|(ahead, ms)| Step::Push(ahead, ms)),
            1 => Just(Step::Clear),
        ];
        prop::collection::vec(step, 0..400)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_frame_is_accounted_for_and_the_order_is_kept(
            steps in steps(),
            first in any::<u32>(),
            (target_ms, max_ms) in (20_u32..400).prop_flat_map(|max_ms| (0..=max_ms, Just(max_ms))),
            by_time in any::<bool>(),
        ) {
            let mut buffer = buffer(target_ms, max_ms);
            let (mut newest, mut now_ms, mut cleared, mut order, mut last) = (i64::from(first), 0.0, 0, 0_u64, None);
            let (mut pushed, mut strayed) = (0, false);
            for step in steps {
                match step {
                    Step::Push(ahead, ms) => {
                        now_ms += ms;
                        let number = newest + i64::from(ahead);
                        newest = if ahead.abs() < 10 { newest.max(number) } else { number };
                        let position = if by_time {
                            Position::Timestamp(u32::try_from((number * 160).rem_euclid(1 << 32)).unwrap_or(0))
                        } else {
                            Position::Sequence(u16::try_from(number.rem_euclid(1 << 16)).unwrap_or(0))
                        };
                        let mut frame = [0; FRAME];
                        frame[..8].copy_from_slice(&number.to_le_bytes());
                        if buffer.push(&frame, position, now_ms).is_ok() {
                            pushed += 1;
                        } else {
                            prop_assert!(!now_ms.is_finite());
                            now_ms = 0.0;
                        }
                        strayed |= ahead.abs() >= 10; // the stream may begin anew, and its order with it
                    }
                    Step::Pop(ms) => {
                        now_ms += ms;
                        let popped = buffer.counts.popped;
                        let begun = buffer.stage == Stage::Playing;
                        let Some(frame) = buffer.pop(now_ms) else {
                            prop_assert!(!begun);
                            continue;
                        };
                        prop_assert_eq!(frame.len(), FRAME);
                        let number = frame.first_chunk().map_or(0, |number| i64::from_le_bytes(*number));
                        if buffer.counts.popped > popped {
                            order += 1;
                            prop_assert!(strayed || last.is_none_or(|last| last < number));
                            last = Some(number);
                        }
                    }
                    Step::Clear => {
                        cleared += buffer.clear() as u64;
                        last = None;
                    }
                }
                let held = buffer.frames.iter().flatten().count() as u64;
                let stats = buffer.stats();
                prop_assert!(buffer.frames.len() <= buffer.capacity());
                prop_assert!(!matches!(buffer.frames.back(), Some(None)));
                prop_assert_eq!(stats.pushed, pushed);
                prop_assert_eq!(stats.popped, order);
                prop_assert_eq!(pushed, stats.popped + stats.late + stats.duplicate + stats.overruns + cleared + held);
                prop_assert!(stats.target_ms >= f64::from(target_ms) && stats.target_ms <= f64::from(max_ms));
                prop_assert!(stats.jitter_ms >= 0.0 && stats.jitter_ms <= f64::from(max_ms));
            }
        }
    }
}
