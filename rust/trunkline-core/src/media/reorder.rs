//! Messages that do not come in order, put in order.

use std::collections::BTreeMap;

/// Messages that wait for one that is missing; with frames of 20 ms, a tenth of a second.
const WINDOW: usize = 5;

/// Gives out numbered audio in the order of its numbers.
///
/// What is in order passes at once. What is ahead waits for what is missing, but when [`WINDOW`] messages wait the hole is given up. What
/// comes after its turn is dropped; if that happens `WINDOW` times in a row, the numbers are those of a stream that began anew.
#[derive(Debug, Default)]
pub(super) struct Reorder {
    next: Option<u64>,
    waiting: BTreeMap<u64, Vec<u8>>,
    late_in_a_row: usize,
}

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is its turn; [`Reorder::ready`] may have more after it.
    Now,
    /// It waits, and it may have ended the wait of others, which [`Reorder::ready`] has.
    Waits,
    /// It came after its turn, or twice.
    Late,
}

impl Reorder {
    pub(super) fn take(&mut self, number: u64, audio: &[u8]) -> Turn {
        let next = *self.next.get_or_insert(number);
        if number < next && self.late_in_a_row + 1 < WINDOW || self.waiting.contains_key(&number) {
            self.late_in_a_row += 1;
            return Turn::Late;
        }
        self.late_in_a_row = 0;
        if number < next {
            self.waiting.clear();
        }
        if number <= next {
            self.next = Some(number + 1);
            return Turn::Now;
        }
        self.waiting.insert(number, audio.to_vec());
        if self.waiting.len() >= WINDOW {
            self.next = self.waiting.keys().next().copied();
        }
        Turn::Waits
    }

    /// The next message whose turn it is by now.
    pub(super) fn ready(&mut self) -> Option<Vec<u8>> {
        let next = self.next?;
        let audio = self.waiting.remove(&next)?;
        self.next = Some(next + 1);
        Some(audio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every message holds its own number.
    fn given_out(numbers: &[u64]) -> Vec<u64> {
        let mut reorder = Reorder::default();
        let mut given = Vec::new();
        for &number in numbers {
            if reorder.take(number, &number.to_le_bytes()) == Turn::Now {
                given.push(number);
            }
            while let Some(audio) = reorder.ready() {
                given.push(u64::from_le_bytes(audio.try_into().unwrap_or_default()));
            }
        }
        given
    }

    #[test]
    fn what_is_ahead_waits_for_what_is_missing() {
        assert_eq!(given_out(&[1, 3, 2, 4]), [1, 2, 3, 4]);
        assert_eq!(given_out(&[7, 9, 10, 8, 11]), [7, 8, 9, 10, 11]);
    }

    #[test]
    fn a_hole_is_given_up_when_the_window_is_full() {
        assert_eq!(given_out(&[1, 3, 4, 5, 6]), [1]);
        assert_eq!(given_out(&[1, 3, 4, 5, 6, 7, 8, 2]), [1, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn what_comes_late_or_twice_is_dropped() {
        assert_eq!(given_out(&[5, 6, 5, 4, 7, 9, 9, 8]), [5, 6, 7, 8, 9]);
    }

    #[test]
    fn numbers_may_begin_anew() {
        assert_eq!(given_out(&[100, 101, 1, 2, 3, 4, 5, 6]), [100, 101, 5, 6]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn neighbours_that_changed_places_are_put_right(swaps in prop::collection::vec(any::<bool>(), 0..40)) {
            let mut numbers: Vec<u64> = (0..2 * swaps.len() as u64).map(|number| number + 1).collect();
            for (pair, swap) in swaps.iter().enumerate().skip(1) {
                if *swap {
                    numbers.swap(2 * pair, 2 * pair + 1);
                }
            }
            let sorted: Vec<u64> = (1..=numbers.len() as u64).collect();
            prop_assert_eq!(given_out(&numbers), sorted);
        }
    }
}
