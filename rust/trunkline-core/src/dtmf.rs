//! The keys of a telephone as tones (ITU-T Q.23), made and recognised.
//!
//! The receiver keeps the tolerances that ITU-T Q.24 lists in annex A for the network of AT&T, the strictest of those that are published there
//! as one set: tones within 1.5 % of their frequency are recognised and those off by 3.5 % are not; from 0 to −25 dBm a tone, not below −55;
//! the high tone up to 4 dB stronger or 8 dB weaker than the low one; 40 ms are enough, 23 ms too little; 40 ms of pause part two presses,
//! a gap of 10 ms does not.
//!
//! Goertzel's filter measures eight frequencies every 4 ms through a Hann window of 16 ms. That is too short to tell 1.5 from 3.5 %, so the
//! frequency is read from the phase: how far it turns from one window to another. Speech is kept out by what it does not have: two lines
//! that hold nearly all the energy, at these frequencies, without a change for 24 ms.

use std::collections::VecDeque;
use std::f64::consts::{PI, TAU};
use std::ops::RangeInclusive;

use crate::tone::{samples, silence, sines};
use crate::{AudioFormat, Error, StreamConverter, pcm};

/// ITU-T Q.23: the frequencies of rows and of columns, in hertz, and what stands where they cross.
const LOW: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
const HIGH: [f64; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
const KEYS: [[char; 4]; 4] = [
    ['1', '2', '3', 'A'],
    ['4', '5', '6', 'B'],
    ['7', '8', '9', 'C'],
    ['*', '0', '#', 'D'],
];

/// Makes the tones of keys, each followed by a gap.
///
/// The level is that of both tones together, as [`dbfs`](crate::dbfs) measures it.
///
/// # Errors
///
/// [`Error::InvalidSetting`] if there is no such key, a duration (or that of all together) is not from zero to an hour, or the level above
/// −6.02.
pub fn generate_dtmf(
    keys: &str,
    format: AudioFormat,
    tone_ms: f64,
    gap_ms: f64,
    level_dbfs: f64,
) -> Result<Vec<u8>, Error> {
    let on = samples("tone_ms", tone_ms, format)?;
    let off = samples("gap_ms", gap_ms, format)?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "too many keys are too many, give or take one"
    )]
    samples("digits", (tone_ms + gap_ms) * keys.len() as f64, format)?;
    let gap = silence(off, format);
    let mut audio = Vec::new();
    for key in keys.chars() {
        let (low, high) = find(key).ok_or_else(|| {
            let reason = format!("must be of 0123456789*#ABCD, got {key:?}");
            Error::setting("digits", reason)
        })?;
        audio.extend(sines(&[LOW[low], HIGH[high]], on, format, level_dbfs)?);
        audio.extend_from_slice(&gap);
    }
    Ok(audio)
}

fn find(key: char) -> Option<(usize, usize)> {
    let key = key.to_ascii_uppercase();
    KEYS.iter().enumerate().find_map(|(low, row)| {
        let high = row.iter().position(|&other| other == key)?;
        Some((low, high))
    })
}

/// Samples a second that the detector works on; anything else is converted.
const RATE: u32 = AudioFormat::TELEPHONE.sample_rate();
const WINDOW: usize = 128;
const HOP: usize = 32;

/// Equal readings that make a press.
const PRESSED: usize = 6;

/// Readings without the key that end it.
const RELEASED: usize = 7;

/// The part of the energy that both tones hold at least: 1 if there is nothing else, less if the window sees the tones' beginning or end.
const PURITY: f64 = 0.65;

/// The part that they hold at least where the window sees nothing but them, after making up for what it takes from tones off their frequency.
const INNER_PURITY: f64 = 0.92;

/// The largest deviation from a frequency, halfway between what is recognised and what is not.
const OFF_FREQUENCY: f64 = 0.025;

/// How much stronger (as a ratio of power) the high tone may be, and how much weaker; half a decibel more than is asked for.
const STRONGER: f64 = 2.82; // 4.5 dB
const WEAKER: f64 = 7.08; // 8.5 dB

/// The least power of a tone, where a sine at full scale has a half: −46 dBFS, between −25 dBm (−31 dBFS) and −55 dBm (−61 dBFS).
const FAINTEST: f64 = 2.5e-5;

/// Recognises the keys that are pressed, in audio of any format that comes in chunks of any size.
///
/// ```
/// use trunkline_core::{AudioFormat, DtmfDetector, Encoding, generate_dtmf};
///
/// let phone = AudioFormat::new(Encoding::Mulaw, 8_000, 1)?;
/// let mut detector = DtmfDetector::new(phone);
/// assert_eq!(detector.feed(&generate_dtmf("0815#", phone, 50.0, 50.0, -10.0)?), "0815#");
/// # Ok::<(), trunkline_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct DtmfDetector {
    to_linear: StreamConverter,
    /// Half a sample, where that is what came last.
    linear: Vec<u8>,
    window: Window,
    /// The samples that the next windows see.
    samples: Vec<f64>,
    /// The latest readings that were alike.
    run: VecDeque<Reading>,
    /// The key that is down, and how many readings it has been missing from.
    down: Option<(char, usize)>,
}

/// What a window shows.
#[derive(Debug, Clone, Copy)]
struct Reading {
    low: usize,
    high: usize,
    phases: [f64; 2],
    powers: [f64; 2],
    energy: f64,
}

impl Reading {
    fn key(self) -> char {
        KEYS[self.low][self.high]
    }

    fn frequencies(self) -> [f64; 2] {
        [LOW[self.low], HIGH[self.high]]
    }
}

impl DtmfDetector {
    /// Makes a detector for audio of a format.
    #[must_use]
    pub fn new(format: AudioFormat) -> Self {
        Self {
            to_linear: StreamConverter::new(format, AudioFormat::TELEPHONE),
            linear: Vec::new(),
            window: Window::new(),
            samples: Vec::new(),
            run: VecDeque::new(),
            down: None,
        }
    }

    /// Takes audio and returns the keys that were newly pressed in it, each once, however long it is held.
    #[must_use]
    pub fn feed(&mut self, audio: &[u8]) -> String {
        self.linear.append(&mut self.to_linear.convert(audio));
        let whole = self.linear.len() & !1;
        let fresh = pcm::samples(&self.linear).map(|sample| f64::from(sample) / 32_768.0);
        self.samples.extend(fresh);
        self.linear.drain(..whole);
        let mut pressed = String::new();
        let mut seen = 0;
        while let Some(samples) = self.samples.get(seen..seen + WINDOW) {
            let reading = self.window.read(samples);
            pressed.extend(self.follow(reading));
            seen += HOP;
        }
        self.samples.drain(..seen);
        pressed
    }

    /// Forgets what came, and the key that is down.
    pub fn reset(&mut self) {
        self.to_linear.reset();
        self.linear.clear();
        self.samples.clear();
        self.run.clear();
        self.down = None;
    }

    /// Takes the next reading; returns the key that it shows to be pressed now.
    fn follow(&mut self, reading: Option<Reading>) -> Option<char> {
        let key = reading.map(Reading::key);
        self.down = self.down.and_then(|(down, missing)| {
            let missing = if key == Some(down) { 0 } else { missing + 1 };
            (missing < RELEASED).then_some((down, missing))
        });
        if key.is_none() || key != self.run.back().map(|last| last.key()) {
            self.run.clear();
        }
        self.run.extend(reading);
        if self.run.len() < PRESSED {
            return None;
        }
        let steady = self.is_steady();
        self.run.pop_front();
        let news = key.filter(|&key| steady && self.down.is_none_or(|(down, _)| down != key))?;
        self.down = Some((news, 0));
        Some(news)
    }

    /// Whether the middle of a whole run, where windows see all of the tones, has nothing but them, and their phases turn as they should.
    fn is_steady(&self) -> bool {
        const MIDDLE: RangeInclusive<usize> = 1..=3;
        let (before, after) = (self.run[*MIDDLE.start()], self.run[*MIDDLE.end()]);
        #[expect(clippy::cast_precision_loss, reason = "it is a few milliseconds")]
        let seconds = ((MIDDLE.end() - MIDDLE.start()) * HOP) as f64 / f64::from(RATE);
        let mut kept = [1.0; 2];
        for (tone, frequency) in after.frequencies().into_iter().enumerate() {
            let turned = after.phases[tone] - before.phases[tone] - TAU * frequency * seconds;
            let deviation = ((turned + PI).rem_euclid(TAU) - PI) / (TAU * seconds);
            if deviation.abs() > OFF_FREQUENCY * frequency {
                return false;
            }
            kept[tone] = Window::keeps(deviation);
        }
        self.run.range(MIDDLE).all(|reading| {
            let tones = reading.powers[0] / kept[0] + reading.powers[1] / kept[1];
            tones >= INNER_PURITY * reading.energy
        })
    }
}

/// The measure of a window's samples.
#[derive(Debug, Clone)]
struct Window {
    weights: [f64; WINDOW],
    /// What makes a power of a squared Goertzel sum, and of a sum of squares.
    tone_scale: f64,
    energy_scale: f64,
}

impl Window {
    fn new() -> Self {
        let mut weights = [0.0; WINDOW];
        #[expect(clippy::cast_precision_loss, reason = "a window has 128 samples")]
        for (index, weight) in weights.iter_mut().enumerate() {
            *weight = 0.5 - 0.5 * (TAU * (index as f64 + 0.5) / WINDOW as f64).cos();
        }
        let sum: f64 = weights.iter().sum();
        let squares: f64 = weights.iter().map(|weight| weight * weight).sum();
        Self {
            weights,
            tone_scale: 2.0 / (sum * sum),
            energy_scale: 1.0 / squares,
        }
    }

    /// The part of its power that a tone shows which is so many hertz off: the square of a Hann window's spectrum.
    fn keeps(deviation: f64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a window has 128 samples")]
        let bins = deviation * WINDOW as f64 / f64::from(RATE);
        if bins.abs() < 1e-6 {
            return 1.0;
        }
        let amplitude = (PI * bins).sin() / (PI * bins * (1.0 - bins * bins));
        amplitude * amplitude
    }

    /// Which key the samples show, if it is clear.
    fn read(&self, samples: &[f64]) -> Option<Reading> {
        let mut windowed = [0.0; WINDOW];
        for ((windowed, sample), weight) in windowed.iter_mut().zip(samples).zip(&self.weights) {
            *windowed = sample * weight;
        }
        let energy = windowed.iter().map(|sample| sample * sample).sum::<f64>() * self.energy_scale;
        if energy < 2.0 * FAINTEST * PURITY {
            return None;
        }
        let (low, low_power, low_phase) = self.strongest(&windowed, LOW);
        let (high, high_power, high_phase) = self.strongest(&windowed, HIGH);
        let clear = low_power + high_power >= PURITY * energy
            && low_power.min(high_power) >= FAINTEST
            && high_power <= low_power * STRONGER
            && low_power <= high_power * WEAKER;
        clear.then_some(Reading {
            low,
            high,
            phases: [low_phase, high_phase],
            powers: [low_power, high_power],
            energy,
        })
    }

    /// The strongest of some frequencies, its power and its phase.
    fn strongest(&self, windowed: &[f64], frequencies: [f64; 4]) -> (usize, f64, f64) {
        let mut best = (0, 0.0, 0.0);
        for (index, frequency) in frequencies.into_iter().enumerate() {
            let (real, imaginary) = goertzel(windowed, frequency);
            let power = (real * real + imaginary * imaginary) * self.tone_scale;
            if power > best.1 {
                best = (index, power, imaginary.atan2(real));
            }
        }
        best
    }
}

/// Goertzel's filter: the spectrum at one frequency, with the phase of the last sample.
fn goertzel(samples: &[f64], frequency: f64) -> (f64, f64) {
    let (sine, cosine) = (TAU * frequency / f64::from(RATE)).sin_cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in samples {
        (last, before) = (sample + 2.0 * cosine * last - before, last);
    }
    (last - before * cosine, before * sine)
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "test signals are small and short"
    )]

    use super::*;
    use crate::Encoding;

    const KEYPAD: &str = "123A456B789C*0#D";

    /// Where a tone may begin in a hop.
    const STARTS: [usize; 7] = [0, 5, 10, 15, 20, 25, 31];

    fn format(encoding: Encoding, rate: u32, channels: u16) -> AudioFormat {
        AudioFormat::new(encoding, rate, channels).unwrap_or_else(|error| unreachable!("{error}"))
    }

    /// A tone that begins at any sample; levels are those of each sine, in dBFS as `dbfs` counts, frequencies off by a ratio.
    #[derive(Clone, Copy)]
    struct Press {
        key: char,
        ms: f64,
        off: f64,
        low_db: f64,
        high_db: f64,
    }

    impl Press {
        fn new(key: char) -> Self {
            Self {
                key,
                ms: 40.0,
                off: 0.0,
                low_db: -16.0,
                high_db: -16.0,
            }
        }

        fn samples(self) -> Vec<f64> {
            let (low, high) = find(self.key).unwrap_or_default();
            let amplitude = |db: f64| 10_f64.powf(db / 20.0) * 2_f64.sqrt();
            let count = (self.ms * 8.0) as u32;
            let sine = |frequency: f64, db: f64, index: u32| {
                amplitude(db)
                    * (TAU * frequency * (1.0 + self.off) * f64::from(index) / 8_000.0).sin()
            };
            (0..count)
                .map(|index| {
                    sine(LOW[low], self.low_db, index) + sine(HIGH[high], self.high_db, index)
                })
                .collect()
        }
    }

    /// Linear audio with noise (about −66 dBFS unless it is said) under it.
    fn line(parts: &[&[f64]], noise: f64) -> Vec<u8> {
        let mut seed = 1_u32;
        let mut audio = Vec::new();
        for sample in parts.iter().copied().flatten() {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let random = f64::from(seed >> 8) / f64::from(1 << 23) - 1.0;
            let value = (sample + random * noise) * 32_767.0;
            audio.extend((value as i16).to_le_bytes());
        }
        audio
    }

    fn heard(audio: &[u8]) -> String {
        DtmfDetector::new(AudioFormat::TELEPHONE).feed(audio)
    }

    /// How many of the starts are recognised.
    fn recognised(press: Press) -> usize {
        let tone = press.samples();
        STARTS
            .into_iter()
            .filter(|&start| {
                let keys = heard(&line(&[&vec![0.0; 400 + start], &tone, &[0.0; 400]], 8e-4));
                assert!(
                    keys.is_empty() || keys == press.key.to_string(),
                    "{keys:?} for {}",
                    press.key
                );
                !keys.is_empty()
            })
            .count()
    }

    #[test]
    fn every_key_of_every_format_is_recognised_once() {
        for encoding in [Encoding::Linear16, Encoding::Mulaw, Encoding::Alaw] {
            for (rate, channels) in [
                (8_000, 1),
                (8_000, 2),
                (16_000, 1),
                (24_000, 1),
                (44_100, 2),
                (48_000, 1),
            ] {
                let format = format(encoding, rate, channels);
                let audio = generate_dtmf(KEYPAD, format, 50.0, 45.0, -10.0);
                let mut detector = DtmfDetector::new(format);
                assert_eq!(
                    audio.map(|audio| detector.feed(&audio)),
                    Ok(KEYPAD.to_owned())
                );
            }
        }
    }

    #[test]
    fn any_chunking_hears_the_same() {
        let audio =
            generate_dtmf("99887", AudioFormat::TELEPHONE, 60.0, 60.0, -20.0).unwrap_or_default();
        for size in [1, 7, 63, 320, 1_000] {
            let mut detector = DtmfDetector::new(AudioFormat::TELEPHONE);
            let keys: String = audio
                .chunks(size)
                .map(|chunk| detector.feed(chunk))
                .collect();
            assert_eq!(keys, "99887");
        }
    }

    #[test]
    fn forty_milliseconds_are_enough_and_twenty_three_are_not() {
        for key in KEYPAD.chars() {
            assert_eq!(recognised(Press::new(key)), STARTS.len(), "{key}");
            assert_eq!(
                recognised(Press {
                    ms: 23.0,
                    ..Press::new(key)
                }),
                0,
                "{key}"
            );
        }
    }

    #[test]
    fn frequencies_may_be_off_by_one_and_a_half_but_not_three_and_a_half_percent() {
        for key in KEYPAD.chars() {
            for sign in [-1.0, 1.0] {
                let off = |off: f64| Press {
                    off: sign * off,
                    ..Press::new(key)
                };
                assert_eq!(recognised(off(0.015)), STARTS.len(), "{key} {sign}");
                assert_eq!(
                    recognised(Press {
                        ms: 100.0,
                        ..off(0.035)
                    }),
                    0,
                    "{key} {sign}"
                );
                assert_eq!(
                    recognised(Press {
                        ms: 100.0,
                        ..off(0.05)
                    }),
                    0,
                    "{key} {sign}"
                );
            }
        }
    }

    #[test]
    fn levels_may_differ_within_limits() {
        // 0 dBm is -6.15 dBFS: a sine at full scale is 3.14 dBm.
        let dbm = |level: f64| level - 6.15;
        for key in ['1', '5', 'D'] {
            let levels = |low: f64, high: f64| Press {
                low_db: dbm(low),
                high_db: dbm(high),
                ..Press::new(key)
            };
            for press in [
                levels(0.0, 0.0),
                levels(-25.0, -25.0),
                levels(-4.0, 0.0),
                levels(-25.0, -21.0),
                levels(0.0, -8.0),
                levels(-17.0, -25.0),
            ] {
                assert_eq!(
                    recognised(press),
                    STARTS.len(),
                    "{key}: {} and {}",
                    press.low_db,
                    press.high_db
                );
            }
            for press in [
                levels(-55.0, -55.0),
                levels(-10.0, -4.0),
                levels(0.0, -10.0),
                levels(-10.0, -200.0),
                levels(-200.0, -10.0),
            ] {
                assert_eq!(
                    recognised(Press { ms: 100.0, ..press }),
                    0,
                    "{key}: {} and {}",
                    press.low_db,
                    press.high_db
                );
            }
        }
    }

    #[test]
    fn noise_fifteen_decibels_below_does_no_harm() {
        let tone = Press::new('7').samples();
        // Uniform noise of amplitude a has the level 20 log(a / sqrt 3): -28 dBFS, where the tones together have -13.
        for start in STARTS {
            assert_eq!(
                heard(&line(&[&vec![0.0; 400 + start], &tone, &[0.0; 400]], 0.069)),
                "7"
            );
        }
    }

    #[test]
    fn a_pause_parts_two_presses_and_an_interruption_does_not() {
        for key in ['1', '8', 'D'] {
            let tone = Press {
                ms: 40.0,
                ..Press::new(key)
            }
            .samples();
            let long = Press {
                ms: 60.0,
                ..Press::new(key)
            }
            .samples();
            for start in STARTS {
                let quiet = vec![0.0; 400 + start];
                let twice = heard(&line(&[&quiet, &tone, &[0.0; 320], &tone, &quiet], 8e-4));
                assert_eq!(twice, key.to_string().repeat(2));
                let once = heard(&line(&[&quiet, &long, &[0.0; 80], &long, &quiet], 8e-4));
                assert_eq!(once, key.to_string());
            }
        }
    }

    #[test]
    fn a_key_is_told_before_it_is_released_and_forgotten_by_a_reset() {
        let tone = line(
            &[&Press {
                ms: 2_000.0,
                ..Press::new('4')
            }
            .samples()],
            0.0,
        );
        let mut detector = DtmfDetector::new(AudioFormat::TELEPHONE);
        assert_eq!(detector.feed(&tone[..640]), "4");
        assert_eq!(detector.feed(&tone[640..]), "");
        detector.reset();
        assert_eq!(detector.feed(&tone), "4");
    }

    /// Voices: harmonics of a gliding pitch through gliding formants, in syllables; none of it is a key.
    fn voice(seed: u32, seconds: u32) -> Vec<f64> {
        let pitch = 80.0 + f64::from(seed % 17) * 12.0;
        let mut phase = 0.0;
        (0..seconds * 8_000)
            .map(|index| {
                let time = f64::from(index) / 8_000.0;
                let glide = |speed: f64| (TAU * time * speed + f64::from(seed)).sin();
                let frequency = pitch * (1.0 + 0.2 * glide(0.7));
                let formants = [
                    500.0 + 250.0 * glide(1.9),
                    1_500.0 + 500.0 * glide(1.3),
                    2_600.0 + 200.0 * glide(0.9),
                ];
                phase = (phase + frequency / 8_000.0) % 1.0;
                let mut sample = 0.0;
                for harmonic in 1..40_u32 {
                    let at = frequency * f64::from(harmonic);
                    if at > 3_400.0 {
                        break;
                    }
                    let gain: f64 = formants
                        .iter()
                        .map(|formant| 1.0 / (1.0 + ((at - formant) / 60.0).powi(2)))
                        .sum();
                    sample += gain * (TAU * phase * f64::from(harmonic)).sin();
                }
                0.1 * sample * (0.5 + 0.5 * glide(3.1))
            })
            .collect()
    }

    #[test]
    fn voices_are_not_keys() {
        for seed in 0..17 {
            assert_eq!(heard(&line(&[&voice(seed, 4)], 1e-3)), "", "voice {seed}");
        }
    }

    #[test]
    fn other_tones_are_not_keys() {
        // Dial, ringing, busy and fax tones, and two tones of one group.
        for pair in [
            [350.0, 440.0],
            [440.0, 480.0],
            [480.0, 620.0],
            [1_100.0, 2_100.0],
            [697.0, 852.0],
            [1_209.0, 1_477.0],
        ] {
            let audio = sines(&pair, 16_000, AudioFormat::TELEPHONE, -10.0);
            assert_eq!(audio.map(|audio| heard(&audio)), Ok(String::new()));
        }
    }

    #[test]
    fn there_are_sixteen_keys() {
        assert_eq!(
            generate_dtmf("a", AudioFormat::TELEPHONE, 40.0, 40.0, -10.0),
            generate_dtmf("A", AudioFormat::TELEPHONE, 40.0, 40.0, -10.0)
        );
        for (keys, tone_ms, level, wrong) in [
            ("12x", 40.0, -10.0, "digits"),
            ("11", 3.6e6, -10.0, "digits"),
            ("1", -1.0, -10.0, "tone_ms"),
            ("1", 40.0, -5.9, "level_dbfs"),
        ] {
            let refused = generate_dtmf(keys, AudioFormat::TELEPHONE, tone_ms, 40.0, level);
            assert!(matches!(refused, Err(Error::InvalidSetting { name, .. }) if name == wrong));
        }
    }
}
