//! Audio that a tap keeps until it is fetched.

use std::collections::VecDeque;
use std::mem;

use super::Frame;

/// Pieces of audio that are kept at most: ten seconds of frames of 20 ms.
const MAX_FRAMES: usize = 500;

/// Keeps audio if it is told to; beyond its bound the oldest goes.
#[derive(Debug, Default)]
pub(super) struct Collected {
    is_on: bool,
    frames: VecDeque<Frame>,
}

impl Collected {
    pub(super) fn switch(&mut self, is_on: bool) {
        self.is_on = is_on;
        if !is_on {
            self.frames = VecDeque::new();
        }
    }

    pub(super) fn keep(&mut self, audio: &[u8], at: f64) {
        if self.is_on && !audio.is_empty() {
            if self.frames.len() == MAX_FRAMES {
                self.frames.pop_front();
            }
            self.frames.push_back((audio.to_vec(), at));
        }
    }

    pub(super) fn take(&mut self) -> VecDeque<Frame> {
        mem::take(&mut self.frames)
    }
}
