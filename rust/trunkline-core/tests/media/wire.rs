//! What the tests of media share: formats, messages, and both ends of a socket.

use trunkline_core::media::{
    Counter, Expected, JsonShape, MarkTemplate, MediaShape, MediaTemplate, PlayoutConfig, Read,
    Rule,
};
use trunkline_core::websocket::{MessageKind, Parser, Role, Writer};
use trunkline_core::{AudioFormat, Encoding};

use MessageKind::Text;

pub(crate) fn mulaw() -> AudioFormat {
    AudioFormat::new(Encoding::Mulaw, 8_000, 1).unwrap()
}

pub(crate) fn linear(rate: u32) -> AudioFormat {
    AudioFormat::new(Encoding::Linear16, rate, 1).unwrap()
}

pub(crate) fn base64(audio: &[u8]) -> String {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in audio.chunks(3) {
        let bits = (0..3).fold(0_u32, |bits, at| {
            bits << 8 | u32::from(three.get(at).copied().unwrap_or(0))
        });
        for at in 0..4 {
            let letter = letters[(bits >> (18 - 6 * at)) as usize & 63];
            text.push(if at > three.len() { '=' } else { letter.into() });
        }
    }
    text
}

/// 20 ms that can be told from others.
pub(crate) fn frame(number: u8) -> Vec<u8> {
    vec![number; 160]
}

pub(crate) fn frames(numbers: impl IntoIterator<Item = u8>) -> Vec<u8> {
    numbers.into_iter().flat_map(frame).collect()
}

pub(crate) fn says(path: &str, word: &str) -> Expected {
    Expected {
        path: path.to_owned(),
        rule: Rule::OneOf(vec![word.to_owned()]),
        is_optional: false,
    }
}

pub(crate) fn counter(path: &str, is_text: bool) -> Counter {
    let path = path.to_owned();
    Counter { path, is_text }
}

pub(crate) fn carrier_shape() -> JsonShape {
    JsonShape {
        audio: "media.payload".to_owned(),
        expected: vec![says("event", "media"), says("id", "S")],
        counter: Some(counter("number", true)),
        ..JsonShape::default()
    }
}

pub(crate) fn carrier_message(number: u64, audio: &[u8]) -> String {
    let payload = base64(audio);
    format!(
        r#"{{"event":"media","number":"{number}","media":{{"chunk":{number},"payload":"{payload}"}},"id":"S"}}"#
    )
}

/// Frames of one end of a socket, all in one read.
pub(crate) fn wire(role: Role, messages: &[(MessageKind, &[u8])]) -> Vec<u8> {
    let mut writer = match role {
        Role::Client => Writer::client([1; 32]),
        Role::Server => Writer::server(),
    };
    let mut out = Vec::new();
    for (kind, payload) in messages {
        writer.message(*kind, payload, &mut out);
    }
    out
}

pub(crate) fn carrier_wire(numbers: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let messages: Vec<String> = numbers
        .into_iter()
        .map(|number| carrier_message(number, &frame(number.to_le_bytes()[0])))
        .collect();
    let messages: Vec<(MessageKind, &[u8])> = messages
        .iter()
        .map(|message| (Text, message.as_bytes()))
        .collect();
    wire(Role::Client, &messages)
}

/// What the other end of a socket reads.
pub(crate) fn read(role: Role, bytes: &[u8]) -> Vec<String> {
    let mut parser = Parser::new(role, 1 << 24);
    parser.feed(bytes);
    let mut messages = Vec::new();
    while parser.next_message().unwrap().is_some() {
        messages.push(String::from_utf8_lossy(parser.payload()).into_owned());
    }
    messages
}

pub(crate) fn audio_of(message: &str, head: &str, tail: &str) -> Vec<u8> {
    let text = message
        .strip_prefix(head)
        .unwrap()
        .strip_suffix(tail)
        .unwrap();
    let pass = JsonShape {
        audio: "a".to_owned(),
        ..JsonShape::default()
    };
    let mut read = Read::default();
    let text = format!(r#"{{"a":"{text}"}}"#);
    assert!(
        MediaShape::json(pass)
            .unwrap()
            .read(Text, text.as_bytes(), "", "", &mut read)
    );
    read.audio
}

pub(crate) fn template(head: &str, tail: &str, frame_bytes: Option<usize>) -> MediaTemplate {
    MediaTemplate::text(head.to_owned(), tail.to_owned(), frame_bytes).unwrap()
}

pub(crate) const MEDIA: (&str, &str) = (r#"{"media":""#, r#""}"#);
pub(crate) const MARK: (&str, &str) = (r#"{"mark":""#, r#""}"#);

/// How audio goes to the carrier of the tests.
pub(crate) fn playout(frame_bytes: Option<usize>) -> PlayoutConfig {
    PlayoutConfig {
        format: mulaw(),
        template: template(MEDIA.0, MEDIA.1, frame_bytes),
        mark: Some(MarkTemplate {
            head: MARK.0.to_owned(),
            tail: MARK.1.to_owned(),
        }),
        lead: 0.4,
        mark_every: 0.2,
        max_queued: 60.0,
    }
}
