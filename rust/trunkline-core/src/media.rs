//! A call's audio, from the bytes of one WebSocket to the bytes of another, without I/O and without a clock.
//!
//! ```text
//! carrier's socket ──▶ Uplink ───▶ provider's socket       the ring of the caller's last seconds, replay
//! carrier's socket ◀── Downlink ◀── provider's socket      the gate, the queue, lead and marks
//! ```
//!
//! Nothing here knows a vendor: a [`MediaShape`] says how a message with audio is recognised and read, a [`MediaTemplate`] how one is
//! written. Reading stops at the first message that is not audio which is wanted, so that whoever handles the others does so in the order
//! of the wire.

mod collected;
mod downlink;
mod history;
mod playout;
mod provider;
mod reorder;
mod shape;
mod silence;
mod template;
mod throttle;
mod uplink;

use crate::{AudioFormat, Encoding};

pub use downlink::{Downlink, DownlinkStats};
pub use playout::{Logged, Playout, PlayoutConfig};
pub use shape::{Counter, Expected, JsonShape, MediaShape, Read, Rule};
pub use template::{MarkTemplate, MediaTemplate};
pub use uplink::{Uplink, UplinkConfig, UplinkStats};

/// Audio that a tap has kept, and when it came or went, in seconds.
pub type Frame = (Vec<u8>, f64);

/// Memory that is kept from one message to the next; more than that is given back.
const KEPT: usize = 64 * 1024;

/// Forgets a buffer that has grown beyond what is kept.
fn give_back(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEPT {
        *buffer = Vec::new();
    }
}

/// Bytes that a second of audio has.
fn bytes_per_second(format: AudioFormat) -> f64 {
    let sample_bytes = f64::from(format.channels())
        * match format.encoding() {
            Encoding::Linear16 => 2.0,
            Encoding::Mulaw | Encoding::Alaw => 1.0,
        };
    f64::from(format.sample_rate()) * sample_bytes
}

/// The whole number in one that is not below 0; sums of floats fall short of it by less than a millionth.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the fraction is to go"
)]
fn whole(number: f64) -> usize {
    (number + 1e-6) as usize
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a message does not have 2^52 bytes"
)]
fn seconds(size: usize, bytes_per_second: f64) -> f64 {
    size as f64 / bytes_per_second
}
