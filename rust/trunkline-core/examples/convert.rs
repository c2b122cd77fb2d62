//! A second of a tone from a telephone to a model and back, a frame of 20 ms at a time.

use trunkline_core::{AudioFormat, Encoding, Error, StreamConverter, dbfs, generate_tone};

fn main() -> Result<(), Error> {
    let phone = AudioFormat::new(Encoding::Mulaw, 8_000, 1)?;
    let model = AudioFormat::new(Encoding::Linear16, 24_000, 1)?;
    let mut up = StreamConverter::new(phone, model);
    let mut down = StreamConverter::new(model, phone);

    let mut heard = Vec::new();
    for frame in generate_tone(440.0, 1_000.0, phone, -20.0)?.chunks(160) {
        heard.extend(down.convert(&up.convert(frame)));
    }
    heard.extend(down.convert(&up.flush()));
    heard.extend(down.flush());

    let samples: Vec<i16> = heard
        .iter()
        .map(|&code| trunkline_core::mulaw_decode(code))
        .collect();
    println!(
        "{} samples at {:.1} dBFS, {:.2} ms late",
        samples.len(),
        dbfs(&samples),
        up.delay_ms() + down.delay_ms()
    );
    Ok(())
}
