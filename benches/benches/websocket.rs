//! Frames of WebSocket messages as a call has them: a carrier's of 20 ms of µ-law, a provider's of 20 ms at 24 kHz, both as base64 in JSON.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use trunkline_benches::{carrier_message, provider_message};
use trunkline_core::scan::{Found, Paths};
use trunkline_core::websocket::{MessageKind, Parser, Role, Writer, mask};

fn frame(mut writer: Writer, message: &str) -> Vec<u8> {
    let mut out = Vec::new();
    writer.message(MessageKind::Text, message.as_bytes(), &mut out);
    out
}

fn read(bencher: Bencher<'_, '_>, role: Role, frame: &[u8]) {
    let mut parser = Parser::new(role, 1 << 20);
    bencher
        .counter(BytesCount::new(frame.len()))
        .bench_local(|| {
            parser.feed(black_box(frame));
            parser.next_message().map(|_| parser.payload().len())
        });
}

#[divan::bench(sample_count = 1_000, sample_size = 100)]
fn read_a_carriers_message(bencher: Bencher<'_, '_>) {
    let frame = frame(Writer::client([1; 32]), &carrier_message());
    read(bencher, Role::Server, &frame);
}

#[divan::bench(sample_count = 1_000, sample_size = 100)]
fn read_a_providers_message(bencher: Bencher<'_, '_>) {
    let frame = frame(Writer::server(), &provider_message());
    read(bencher, Role::Client, &frame);
}

#[divan::bench(sample_count = 1_000, sample_size = 100)]
fn write_to_a_provider(bencher: Bencher<'_, '_>) {
    let (mut writer, message, mut out) = (Writer::client([1; 32]), provider_message(), Vec::new());
    bencher
        .counter(BytesCount::new(message.len()))
        .bench_local(|| {
            out.clear();
            writer.message(MessageKind::Text, black_box(message.as_bytes()), &mut out);
        });
}

#[divan::bench(sample_count = 1_000, sample_size = 100)]
fn mask_alone(bencher: Bencher<'_, '_>) {
    let mut message = provider_message().into_bytes();
    bencher
        .counter(BytesCount::new(message.len()))
        .bench_local(|| mask(black_box(&mut message), [1, 2, 3, 4]));
}

#[divan::bench(sample_count = 1_000, sample_size = 100)]
fn utf_8_alone(bencher: Bencher<'_, '_>) {
    let message = provider_message();
    bencher
        .counter(BytesCount::new(message.len()))
        .bench_local(|| str::from_utf8(black_box(message.as_bytes())).is_ok());
}

#[divan::bench(sample_count = 1_000, sample_size = 100)]
fn scan_a_carriers_message(bencher: Bencher<'_, '_>) {
    let paths = [
        "media.payload",
        "event",
        "streamSid",
        "media.track",
        "media.timestamp",
        "sequenceNumber",
    ];
    scan(bencher, &paths, &carrier_message());
}

#[divan::bench(sample_count = 1_000, sample_size = 100)]
fn scan_a_providers_message(bencher: Bencher<'_, '_>) {
    let paths = ["delta", "type", "response_id", "item_id"];
    scan(bencher, &paths, &provider_message());
}

fn scan(bencher: Bencher<'_, '_>, paths: &[&str], message: &str) {
    let Ok(paths) = Paths::new(paths, false) else {
        return;
    };
    let mut found = Found::default();
    bencher
        .counter(BytesCount::new(message.len()))
        .bench_local(|| paths.find(black_box(message.as_bytes()), &mut found));
}

fn main() {
    divan::main();
}
