//! Two seconds of frames from one thread to another, over a network that loses some and delivers others in the wrong order.

use std::thread;
use std::time::{Duration, Instant};

use trunkline_core::{AudioFormat, Encoding, Error, JitterBuffer, Overflow, Position, Underrun};

const FRAMES: u16 = 100;

fn main() -> Result<(), Error> {
    let phone = AudioFormat::new(Encoding::Mulaw, 8_000, 1)?;
    let (mut writer, mut reader) = JitterBuffer::new(phone)
        .target_ms(60)
        .overflow(Overflow::DropOldest)
        .underrun(Underrun::Hold)
        .split()?;
    let begun = Instant::now();
    let now_ms = move || begun.elapsed().as_secs_f64() * 1_000.0;

    let network = thread::spawn(move || -> Result<(), Error> {
        for turn in 0..FRAMES {
            let sequence = turn ^ u16::from(turn % 10 >= 8); // two of ten change places
            if sequence % 17 != 16 {
                writer.push(&[0x80; 160], Position::Sequence(sequence), now_ms())?;
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    });
    let mut played = 0;
    while !network.is_finished() {
        played += usize::from(reader.pop(now_ms()).is_some());
        thread::sleep(Duration::from_millis(20));
    }
    if let Ok(pushed) = network.join() {
        pushed?;
    }
    println!("{played} frames were played: {:?}", reader.stats());
    Ok(())
}
