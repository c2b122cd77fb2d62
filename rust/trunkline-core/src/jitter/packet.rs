//! How a frame and what is known of it lie in the ring between writer and reader.

use crate::arrival::Position;

/// The kind of a position, the position, and when the frame came.
const HEADER: usize = 1 + 4 + 8;

/// Bytes of a packet, in memory of one piece, so that the reader sees all of it or nothing.
pub(super) fn len(frame_bytes: usize) -> usize {
    HEADER + frame_bytes
}

/// The frame in a packet.
pub(super) fn frame(packet: &[u8]) -> &[u8] {
    &packet[HEADER..]
}

pub(super) fn encode(packet: &mut [u8], position: Position, now_ms: f64, frame: &[u8]) {
    let (kind, number) = match position {
        Position::Sequence(number) => (0, u32::from(number)),
        Position::Timestamp(number) => (1, number),
    };
    packet[0] = kind;
    packet[1..5].copy_from_slice(&number.to_le_bytes());
    packet[5..HEADER].copy_from_slice(&now_ms.to_le_bytes());
    packet[HEADER..].copy_from_slice(frame);
}

pub(super) fn decode(packet: &[u8]) -> (Position, f64) {
    let mut number = [0; 4];
    let mut now_ms = [0; 8];
    number.copy_from_slice(&packet[1..5]);
    now_ms.copy_from_slice(&packet[5..HEADER]);
    let position = if packet[0] == 0 {
        Position::Sequence(u16::from_le_bytes([number[0], number[1]]))
    } else {
        Position::Timestamp(u32::from_le_bytes(number))
    };
    (position, f64::from_le_bytes(now_ms))
}
