//! How much faster than it is spoken a carrier may deliver audio.

/// Seconds of audio that may come at once: what a network held back, and brings when it goes on.
const BURST: f64 = 10.0;

/// How many times faster than real time audio may come for longer than that.
const SPEED: f64 = 4.0;

/// Tells how long reading is to pause so that a flood does not cost others their time.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    /// Seconds of audio that came, less what the allowed speed has worked off.
    level: f64,
    at: f64,
}

impl Throttle {
    pub(super) fn take(&mut self, seconds: f64, now: f64) {
        self.level = self.left(now) + seconds;
        self.at = now;
    }

    /// Seconds that reading is to pause from now on; 0 in ordinary times.
    pub(super) fn pause(&self, now: f64) -> f64 {
        (self.left(now) - BURST).max(0.0) / SPEED
    }

    fn left(&self, now: f64) -> f64 {
        (self.level - (now - self.at).max(0.0) * SPEED).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_flood_is_held_up() {
        let mut throttle = Throttle::default();
        for frame in 0..1_000 {
            throttle.take(0.02, f64::from(frame) * 0.02);
            assert!(throttle.pause(f64::from(frame) * 0.02) <= 0.0);
        }
        throttle.take(10.0, 20.0);
        assert!(throttle.pause(20.0) <= 0.02);
        throttle.take(8.0, 20.0);
        assert!((throttle.pause(20.0) - 2.0).abs() < 0.02);
        assert!((throttle.pause(21.0) - 1.0).abs() < 0.02);
        assert!(throttle.pause(23.0) <= 0.0);
    }
}
