//! A frame of 20 ms from socket to socket: a carrier's µ-law at 8 kHz, a provider's PCM at 24 kHz or the same µ-law.

use std::fmt;

use divan::{Bencher, black_box};
use trunkline_benches::{carrier_message, mulaw_message, provider_message};
use trunkline_core::media::{
    Counter, Downlink, Expected, JsonShape, MarkTemplate, MediaShape, MediaTemplate, PlayoutConfig,
    Rule, Uplink, UplinkConfig,
};
use trunkline_core::websocket::{MessageKind, Parser, Role, Writer};
use trunkline_core::{AudioFormat, Encoding, Error};

/// What the provider speaks.
#[derive(Clone, Copy)]
enum Provider {
    Pcm,
    Mulaw,
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pcm => "converted to and from 24 kHz",
            Self::Mulaw => "passed through",
        })
    }
}

impl Provider {
    fn format(self) -> Result<AudioFormat, Error> {
        match self {
            Self::Pcm => AudioFormat::new(Encoding::Linear16, 24_000, 1),
            Self::Mulaw => mulaw(),
        }
    }
}

fn mulaw() -> Result<AudioFormat, Error> {
    AudioFormat::new(Encoding::Mulaw, 8_000, 1)
}

fn says(path: &str, word: &str) -> Expected {
    Expected {
        path: path.to_owned(),
        rule: Rule::OneOf(vec![word.to_owned()]),
        is_optional: false,
    }
}

fn uplink(provider: Provider) -> Result<Uplink, Error> {
    let timestamp = Expected {
        rule: Rule::Digits,
        ..says("media.timestamp", "")
    };
    let shape = JsonShape {
        audio: "media.payload".to_owned(),
        expected: vec![
            says("event", "media"),
            says("streamSid", "MZ00000000000000000000000000000001"),
            says("media.track", "inbound"),
            timestamp,
        ],
        counter: Some(Counter {
            path: "sequenceNumber".to_owned(),
            is_text: true,
        }),
        ..JsonShape::default()
    };
    let mut uplink = Uplink::new(UplinkConfig {
        shape: MediaShape::json(shape)?,
        format: mulaw()?,
        history: 30.0,
        ptime: 0.0,
        quiet_dbfs: Some(-46.0),
    })?;
    let head = r#"{"type":"input_audio_buffer.append","audio":""#.to_owned();
    let template = MediaTemplate::text(head, r#""}"#.to_owned(), None)?;
    uplink.connect(template, provider.format()?, Writer::client([1; 32]), None)?;
    Ok(uplink)
}

fn downlink(provider: Provider) -> Result<Downlink, Error> {
    let stream = r#""streamSid":"MZ00000000000000000000000000000001""#;
    let end = r#""}}"#.to_owned();
    let head = format!(r#"{{"event":"media",{stream},"media":{{"payload":""#);
    let mut downlink = Downlink::new(PlayoutConfig {
        format: mulaw()?,
        template: MediaTemplate::text(head, end.clone(), None)?,
        mark: Some(MarkTemplate {
            head: format!(r#"{{"event":"mark",{stream},"mark":{{"name":""#),
            tail: end,
        }),
        lead: 0.4,
        mark_every: 0.2,
        max_queued: 600.0,
    })?;
    let shape = JsonShape {
        audio: "delta".to_owned(),
        expected: vec![says("type", "response.output_audio.delta")],
        response_id: Some("response_id".to_owned()),
        item_id: Some("item_id".to_owned()),
        ..JsonShape::default()
    };
    downlink.connect(MediaShape::json(shape)?, provider.format()?);
    downlink.admit("resp_0123456789", "item_0123456789");
    Ok(downlink)
}

fn wire(mut writer: Writer, message: &str, count: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..count {
        writer.message(MessageKind::Text, message.as_bytes(), &mut out);
    }
    out
}

fn up(bencher: Bencher<'_, '_>, provider: Provider, messages: usize) {
    let Ok(mut uplink) = uplink(provider) else {
        return;
    };
    let wire = wire(Writer::client([1; 32]), &carrier_message(), messages);
    let (mut parser, mut out) = (Parser::new(Role::Server, 65_536), Vec::new());
    bencher.bench_local(|| {
        out.clear();
        uplink.feed(black_box(&wire), 1.0, &mut parser, &mut out)
    });
}

#[divan::bench(args = [Provider::Pcm, Provider::Mulaw], sample_count = 1_000, sample_size = 50)]
fn uplink_one_message(bencher: Bencher<'_, '_>, provider: Provider) {
    up(bencher, provider, 1);
}

#[divan::bench(args = [Provider::Pcm, Provider::Mulaw], sample_count = 1_000, sample_size = 50)]
fn uplink_four_messages(bencher: Bencher<'_, '_>, provider: Provider) {
    up(bencher, provider, 4);
}

#[divan::bench(args = [Provider::Pcm, Provider::Mulaw], sample_count = 1_000, sample_size = 50)]
fn downlink_one_message(bencher: Bencher<'_, '_>, provider: Provider) {
    let Ok(mut downlink) = downlink(provider) else {
        return;
    };
    let message = match provider {
        Provider::Pcm => provider_message(),
        Provider::Mulaw => mulaw_message(),
    };
    let wire = wire(Writer::server(), &message, 1);
    let (mut parser, mut out, mut now) = (Parser::new(Role::Client, 1 << 20), Vec::new(), 0.0);
    bencher.bench_local(|| {
        out.clear();
        now += 0.02;
        let end = downlink.feed(black_box(&wire), now, &mut parser, &mut out);
        downlink.playout().take_log();
        end
    });
}

fn main() {
    divan::main();
}
