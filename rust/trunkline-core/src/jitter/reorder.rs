//! Puts the frames of a stream in order, as deep as the network's jitter asks for.

use std::collections::VecDeque;

use super::stats::JitterStats;
use crate::arrival::{Jitter, Numbering, Place, Position};
use crate::conceal::Concealer;
use crate::ring::Overflow;

/// How far a number may jump ahead or fall behind before the sender is thought to have begun anew (RFC 3550, section A.1), in frames.
const MAX_DROPOUT: i64 = 3_000;
const MAX_MISORDER: i64 = -100;

/// Frames between two looks at whether more is held than jitter explains.
const WINDOW: u32 = 25;

/// How many mean deviations the target depth covers.
const DEVIATIONS: f64 = 3.0;

/// The frames that wait for their turn, and all that is known of their stream. One thread owns it.
#[derive(Debug)]
pub(super) struct Reorder {
    settings: Settings,
    /// From the one whose turn is next; the last is there, others may be missing.
    frames: VecDeque<Option<Vec<u8>>>,
    /// Memory of frames that were given out.
    spare: Vec<Vec<u8>>,
    /// What the last pop gave.
    out: Vec<u8>,
    /// The place of the first of the frames.
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

/// Numbers that have been checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) frame_bytes: usize,
    pub(super) frame_samples: u32,
    pub(super) frame_ms: u32,
    pub(super) target_ms: u32,
    pub(super) max_ms: u32,
    pub(super) overflow: Overflow,
}

impl Settings {
    /// The frames that are held at most.
    pub(super) fn capacity(&self) -> usize {
        (self.max_ms / self.frame_ms) as usize
    }
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

impl Reorder {
    pub(super) fn new(settings: Settings, concealer: Concealer) -> Self {
        Self {
            frames: VecDeque::new(),
            spare: Vec::new(),
            out: vec![0; settings.frame_bytes],
            next: 0,
            numbering: None,
            suspect: None,
            jitter: Jitter::new(f64::from(settings.max_ms)),
            concealer,
            stage: Stage::Priming { since_ms: None },
            least: usize::MAX,
            window: WINDOW,
            counts: JitterStats::default(),
            settings,
        }
    }

    /// Takes a frame and returns true, or returns false if there is no room for it yet and nothing may be dropped.
    pub(super) fn push(&mut self, frame: &[u8], position: Position, now_ms: f64) -> bool {
        let Some(place) = self.locate(position) else {
            self.counts.late += 1;
            return true;
        };
        if !self.keep(frame, place.index) {
            return false;
        }
        self.jitter
            .arrived(now_ms, place.frames * f64::from(self.settings.frame_ms));
        if let Stage::Priming { since_ms } | Stage::Refilling { since_ms } = &mut self.stage
            && !self.frames.is_empty()
        {
            since_ms.get_or_insert(now_ms);
        }
        true
    }

    /// Readies the frame whose turn it is, or what stands in for it, as the [`last`](Self::last); false if there is none to give.
    pub(super) fn pop(&mut self, now_ms: f64) -> bool {
        match self.stage {
            Stage::Priming { since_ms } if !self.is_primed(since_ms, now_ms) => return false,
            Stage::Refilling { since_ms } if !self.is_primed(since_ms, now_ms) => {
                return self.conceal();
            }
            Stage::Playing if self.frames.is_empty() => {
                self.counts.underruns += 1;
                self.stage = Stage::Refilling { since_ms: None };
                return self.conceal();
            }
            Stage::Playing => self.leave_out_what_jitter_does_not_need(),
            Stage::Priming { .. } | Stage::Refilling { .. } => self.play_from_the_oldest(),
        }
        self.next += 1;
        let Some(frame) = self.frames.pop_front().flatten() else {
            self.counts.lost += 1;
            return self.conceal();
        };
        self.counts.popped += 1;
        self.spare.push(std::mem::replace(&mut self.out, frame));
        self.concealer.heard(&self.out);
        true
    }

    /// What was given last.
    pub(super) fn last(&self) -> &[u8] {
        &self.out
    }

    /// Drops all that is held, as new but for the counts and the measured jitter, and returns how many frames that were.
    pub(super) fn clear(&mut self) -> usize {
        let held = self.frames.drain(..).flatten();
        let before = self.spare.len();
        self.spare.extend(held);
        self.numbering = None;
        self.suspect = None;
        self.jitter.interrupt();
        self.stage = Stage::Priming { since_ms: None };
        self.spare.len() - before
    }

    /// What it has counted and holds; `pushed` is counted by whoever pushes.
    pub(super) fn stats(&self) -> JitterStats {
        JitterStats {
            depth_ms: self.depth_ms(),
            target_ms: self.target_ms(),
            jitter_ms: self.jitter.mean_ms(),
            ..self.counts
        }
    }

    fn conceal(&mut self) -> bool {
        self.concealer.fill(&mut self.out)
    }

    /// Finds a frame's place; `None` if it belongs to no known stream.
    fn locate(&mut self, position: Position) -> Option<Place> {
        let Some(numbering) = &mut self.numbering else {
            return Some(self.begin(position));
        };
        let place = numbering.locate(position);
        if (MAX_MISORDER..=MAX_DROPOUT).contains(&(place.index - self.next)) {
            self.suspect = None;
            numbering.accept(place);
            return Some(place);
        }
        if self.suspect == Some(place.index) {
            let playing = !matches!(self.stage, Stage::Priming { .. });
            self.counts.overruns += self.clear() as u64;
            if playing {
                self.stage = Stage::Refilling { since_ms: None };
            }
            return Some(self.begin(position));
        }
        self.suspect = Some(place.index + 1);
        None
    }

    /// Takes a position as that of a stream's first frame.
    fn begin(&mut self, position: Position) -> Place {
        let numbering = Numbering::starting(position, self.settings.frame_samples);
        let place = numbering.locate(position);
        self.numbering = Some(numbering);
        self.next = place.index;
        place
    }

    /// Puts a frame into its place, unless its turn is over or it is there already; returns false if it must wait for room.
    fn keep(&mut self, frame: &[u8], index: i64) -> bool {
        let Ok(ahead) = usize::try_from(index - self.next) else {
            self.keep_before_the_first(frame, index);
            return true;
        };
        if let Some(Some(_)) = self.frames.get(ahead) {
            self.counts.duplicate += 1;
            return true;
        }
        let excess = (ahead + 1).saturating_sub(self.settings.capacity());
        if excess > 0 && !self.frames.is_empty() {
            match self.settings.overflow {
                Overflow::Block(_) => return false,
                Overflow::DropNewest => {
                    self.counts.overruns += 1;
                    return true;
                }
                Overflow::DropOldest => {}
            }
        }
        for _ in 0..excess {
            self.skip();
        }
        let ahead = ahead - excess;
        if self.frames.len() <= ahead {
            self.frames.resize(ahead + 1, None);
        }
        self.frames[ahead] = Some(self.copy(frame));
        true
    }

    /// Nothing has been played yet while it is priming: what is older than the first may still come first.
    fn keep_before_the_first(&mut self, frame: &[u8], index: i64) {
        let room = self.settings.capacity() - self.frames.len();
        let behind = usize::try_from(self.next - index).unwrap_or(usize::MAX);
        if !matches!(self.stage, Stage::Priming { .. }) || behind > room {
            self.counts.late += 1;
            return;
        }
        for _ in 1..behind {
            self.frames.push_front(None);
        }
        let frame = self.copy(frame);
        self.frames.push_front(Some(frame));
        self.next = index;
    }

    /// Copies a frame into memory that another one has left.
    fn copy(&mut self, frame: &[u8]) -> Vec<u8> {
        let mut copy = self.spare.pop().unwrap_or_default();
        copy.clear();
        copy.extend_from_slice(frame);
        copy
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
        let may_drop = !matches!(self.settings.overflow, Overflow::Block(_));
        if may_drop && self.ms(self.least.saturating_sub(1)) > self.target_ms() {
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
            Some(frame) => {
                self.counts.overruns += 1;
                self.spare.push(frame);
            }
            None => self.counts.lost += 1,
        }
        self.next += 1;
    }

    fn depth_ms(&self) -> f64 {
        self.ms(self.frames.len())
    }

    fn target_ms(&self) -> f64 {
        let least = f64::from(self.settings.target_ms);
        let most = f64::from(self.settings.max_ms) / 2.0;
        let needed = f64::from(self.settings.frame_ms) + DEVIATIONS * self.jitter.mean_ms();
        needed.min(most).max(least)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "it holds some thousand frames at most"
    )]
    fn ms(&self, frames: usize) -> f64 {
        frames as f64 * f64::from(self.settings.frame_ms)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::{AudioFormat, Encoding, Error, JitterBuffer, JitterReader, JitterWriter, Underrun};
    use proptest::prelude::*;
    use std::time::Duration;

    const FRAME: usize = 160;

    /// Both sides in one hand.
    struct Both {
        writer: JitterWriter,
        reader: JitterReader,
    }

    impl Both {
        fn push(&mut self, frame: &[u8], position: Position, now_ms: f64) -> Result<(), Error> {
            self.writer.push(frame, position, now_ms)
        }

        fn pop(&mut self, now_ms: f64) -> Option<&[u8]> {
            self.reader.pop(now_ms)
        }

        fn clear(&mut self) -> usize {
            self.reader.clear()
        }

        fn stats(&mut self) -> JitterStats {
            self.reader.stats()
        }
    }

    fn made(settings: JitterBuffer) -> Both {
        let (writer, reader) = settings
            .split()
            .unwrap_or_else(|error| unreachable!("{error}"));
        Both { writer, reader }
    }

    fn phone() -> AudioFormat {
        AudioFormat::new(Encoding::Mulaw, 8_000, 1).unwrap_or_else(|error| unreachable!("{error}"))
    }

    fn buffer(target_ms: u32, max_ms: u32) -> Both {
        made(
            JitterBuffer::new(phone())
                .target_ms(target_ms)
                .max_ms(max_ms),
        )
    }

    fn push(buffer: &mut Both, sequence: u16, now_ms: f64) {
        let frame = [u8::try_from(sequence & 0x7F).unwrap_or(0); FRAME];
        assert_eq!(
            buffer.push(&frame, Position::Sequence(sequence), now_ms),
            Ok(())
        );
    }

    /// The numbers of the frames that come out until the buffer is dry; 255 for concealment.
    fn drain(buffer: &mut Both) -> Vec<u8> {
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
        for (target_ms, max_ms, frame_ms) in [
            (60, 1_000, 0),
            (60, 1_000, 201),
            (0, 19, 20),
            (0, 60_001, 20),
            (61, 60, 20),
        ] {
            let settings = JitterBuffer::new(phone())
                .target_ms(target_ms)
                .max_ms(max_ms)
                .frame_ms(frame_ms);
            assert!(matches!(
                settings.split(),
                Err(Error::InvalidSetting { .. })
            ));
        }
    }

    #[test]
    fn the_newest_give_way_if_the_settings_say_so() {
        let settings = JitterBuffer::new(phone()).target_ms(60).max_ms(100);
        let mut buffer = made(settings.overflow(Overflow::DropNewest));
        for sequence in 0..8 {
            push(&mut buffer, sequence, 0.0);
        }
        assert_eq!(buffer.stats().overruns, 3);
        assert_eq!(drain(&mut buffer), [0, 1, 2, 3, 4]);
        push(&mut buffer, 300, 0.0); // nothing is held, so nothing is worth more than this one
        let stats = buffer.stats();
        assert_eq!((stats.overruns, stats.depth_ms), (3, 100.0));
    }

    #[test]
    fn frames_wait_in_the_ring_if_nothing_may_be_dropped() {
        let settings = JitterBuffer::new(phone()).target_ms(0).max_ms(100);
        let mut buffer = made(settings.overflow(Overflow::Block(Duration::ZERO)));
        for sequence in 0..12 {
            push(&mut buffer, sequence, 0.0);
        }
        let stats = buffer.stats();
        assert_eq!(
            (stats.pushed, stats.overruns, stats.depth_ms),
            (12, 0, 100.0)
        );
        for sequence in 0..7_u8 {
            assert_eq!(buffer.pop(0.0), Some(&[sequence; FRAME][..]));
        }
        assert_eq!(buffer.stats().pushed, 12);
        assert_eq!(buffer.clear(), 5);
        for sequence in 0..30 {
            push(&mut buffer, sequence, 0.0);
        }
        assert_eq!(buffer.clear(), 21);
        let stats = buffer.stats();
        assert_eq!((stats.pushed, stats.popped, stats.overruns), (42, 7, 9));
    }

    #[test]
    fn frames_that_nobody_reads_give_way_to_newer_ones() {
        let mut buffer = buffer(0, 100);
        for sequence in 0..1_000 {
            push(&mut buffer, sequence, 0.0);
        }
        let numbers = drain(&mut buffer);
        assert_eq!(
            numbers,
            [995, 996, 997, 998, 999].map(|number: u16| (number & 0x7F) as u8)
        );
        let stats = buffer.stats();
        assert_eq!(
            (stats.pushed, stats.popped, stats.overruns, stats.lost),
            (1_000, 5, 995, 0)
        );
    }

    #[test]
    fn a_missing_frame_is_silence_or_nothing_if_the_settings_say_so() {
        for (underrun, missing) in [
            (Underrun::Silence, Some(&[0xFF; FRAME][..])),
            (Underrun::None, None),
        ] {
            let mut buffer = made(JitterBuffer::new(phone()).target_ms(0).underrun(underrun));
            push(&mut buffer, 0, 0.0);
            push(&mut buffer, 2, 0.0);
            assert_eq!(buffer.pop(0.0), Some(&[0; FRAME][..]));
            assert_eq!(buffer.pop(20.0), missing);
            assert_eq!(buffer.pop(40.0), Some(&[2; FRAME][..]));
            assert_eq!(buffer.pop(60.0), missing);
            let stats = buffer.stats();
            assert_eq!((stats.lost, stats.underruns), (1, 1));
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
            overflow in prop::sample::select(vec![Overflow::DropOldest, Overflow::DropNewest, Overflow::Block(Duration::ZERO)]),
        ) {
            let mut buffer = made(JitterBuffer::new(phone()).target_ms(target_ms).max_ms(max_ms).overflow(overflow));
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
                        let popped = buffer.reader.reorder.counts.popped;
                        let begun = buffer.reader.reorder.stage == Stage::Playing;
                        let Some(frame) = buffer.pop(now_ms) else {
                            prop_assert!(!begun);
                            continue;
                        };
                        prop_assert_eq!(frame.len(), FRAME);
                        let number = frame.first_chunk().map_or(0, |number| i64::from_le_bytes(*number));
                        if buffer.reader.reorder.counts.popped > popped {
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
                let stats = buffer.stats();
                let reorder = &buffer.reader.reorder;
                let waiting = buffer.reader.ring.gauge().filled() / buffer.reader.packet.len() + usize::from(buffer.reader.waits);
                let held = (reorder.frames.iter().flatten().count() + waiting) as u64;
                prop_assert!(waiting == 0 || matches!(overflow, Overflow::Block(_)));
                prop_assert!(reorder.frames.len() <= reorder.settings.capacity());
                prop_assert!(!matches!(reorder.frames.back(), Some(None)));
                prop_assert_eq!(stats.pushed, pushed);
                prop_assert_eq!(stats.popped, order);
                prop_assert_eq!(pushed, stats.popped + stats.late + stats.duplicate + stats.overruns + cleared + held);
                prop_assert!(stats.target_ms >= f64::from(target_ms) && stats.target_ms <= f64::from(max_ms));
                prop_assert!(stats.jitter_ms >= 0.0 && stats.jitter_ms <= f64::from(max_ms));
            }
        }
    }
}
