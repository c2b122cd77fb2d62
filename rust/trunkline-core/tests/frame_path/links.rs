//! Uplink and downlink.

use proptest::prelude::*;
use trunkline_core::media::{
    Counter, Downlink, Expected, JsonShape, Logged, MediaShape, MediaTemplate, PlayoutConfig, Rule,
    Uplink, UplinkConfig,
};
use trunkline_core::websocket::MessageKind::{self, Binary, Ping, Text};
use trunkline_core::websocket::{Parser, Role, WebSocketError, Writer};
use trunkline_core::{AudioFormat, Encoding};

use crate::wire::{LIMIT, Messages, cut, read};

/// Any moment, or one that is likely to mean something.
fn numbers() -> impl Strategy<Value = f64> {
    prop_oneof![8 => 0.0..20.0, 1 => any::<f64>(), 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)]
}

fn format(encoding: Encoding, rate: u32) -> AudioFormat {
    AudioFormat::new(encoding, rate, 1).unwrap()
}

fn formats() -> impl Strategy<Value = AudioFormat> {
    prop::sample::select(vec![
        format(Encoding::Mulaw, 8_000),
        format(Encoding::Alaw, 8_000),
        format(Encoding::Linear16, 16_000),
        format(Encoding::Linear16, 24_000),
    ])
}

/// Messages that fit the shapes below, nearly fit them, or have nothing to do with them.
fn texts() -> impl Strategy<Value = String> {
    let audio = prop_oneof![
        4 => (0_usize..120, "[A-Za-z0-9+/]{4}").prop_map(|(count, four)| four.repeat(count)),
        1 => "[A-Za-z0-9+/=]{0,20}",
        1 => Just("AAAA\\u0041".to_owned()),
    ];
    let id = prop::sample::select(vec!["r", "i", "x", ""]);
    let event = prop::sample::select(vec!["media", "media", "media", "mark"]);
    let message = (
        event,
        id,
        any::<u8>(),
        audio,
        prop::sample::select(vec!["", ",\"more\":[{}]", ",", "}"]),
    );
    let message = message.prop_map(|(event, id, number, audio, rest)| {
        format!(r#"{{"event":"{event}","id":"{id}","n":"{number}","media":{{"chunk":{number},"payload":"{audio}"}}{rest}}}"#)
    });
    prop_oneof![6 => message, 1 => ".{0,20}"]
}

/// The bytes of a socket: whole messages of these kinds, and sometimes something broken at the end.
fn sockets(role: Role) -> impl Strategy<Value = Vec<u8>> {
    let kinds = prop::sample::select(vec![Text, Text, Text, Text, Binary, Ping]);
    let broken = prop::option::weighted(0.1, prop::collection::vec(any::<u8>(), 0..20));
    (prop::collection::vec((kinds, texts()), 0..8), broken).prop_map(move |(messages, broken)| {
        let mut writer = if role == Role::Client {
            Writer::client([9; 32])
        } else {
            Writer::server()
        };
        let mut bytes = Vec::new();
        for (kind, text) in messages {
            let is_control = kind == Ping;
            let payload = &text.as_bytes()[..if is_control {
                text.len().min(125)
            } else {
                text.len()
            }];
            writer.message(kind, payload, &mut bytes);
        }
        bytes.extend(broken.unwrap_or_default());
        bytes
    })
}

fn shapes() -> impl Strategy<Value = JsonShape> {
    (any::<[bool; 5]>(), prop::option::of(0_usize..300)).prop_map(|(is, max_audio)| {
        let counter = |path: &str, is_text| Counter {
            path: path.to_owned(),
            is_text,
        };
        JsonShape {
            audio: "media.payload".to_owned(),
            expected: vec![Expected {
                path: "event".to_owned(),
                rule: Rule::OneOf(vec!["media".to_owned()]),
                is_optional: is[0],
            }],
            counter: is[1].then(|| counter("n", true)),
            order: is[2].then(|| counter("media.chunk", false)),
            is_closed: is[3],
            in_binary: is[4],
            max_audio,
            ..JsonShape::default()
        }
    })
}

/// Everything that a link did with the bytes: what it sent, what it left to others, and how it ended.
#[derive(Debug, PartialEq)]
struct Done<S> {
    controls: Messages,
    error: Option<WebSocketError>,
    stats: S,
}

type Feed<'a> =
    dyn FnMut(&[u8], &mut Parser, &mut Vec<u8>) -> Result<Option<MessageKind>, WebSocketError> + 'a;

/// Feeds a link until it is done with each piece.
fn drive(
    pieces: &[&[u8]],
    parser: &mut Parser,
    out: &mut Vec<u8>,
    feed: &mut Feed<'_>,
) -> (Messages, Option<WebSocketError>) {
    let mut controls = Vec::new();
    for piece in pieces {
        let mut data = *piece;
        loop {
            match feed(data, parser, out) {
                Ok(None) => break,
                Ok(Some(kind)) => controls.push((kind, parser.payload().to_vec())),
                Err(error) => return (controls, Some(error)),
            }
            data = &[];
        }
    }
    (controls, None)
}

/// The audio that the other end of a socket reads, whose messages are all audio in binary form.
fn audio_of(role: Role, out: &[u8]) -> Vec<u8> {
    let (messages, error) = read(role, out);
    assert_eq!(error, None);
    messages
        .into_iter()
        .flat_map(|(_, payload)| payload)
        .collect()
}

fn uplink(shape: JsonShape, from: AudioFormat, to: AudioFormat) -> Uplink {
    let mut uplink = Uplink::new(UplinkConfig {
        shape: MediaShape::json(shape).unwrap(),
        format: from,
        history: 1.0,
        ptime: 0.0,
        quiet_dbfs: Some(-40.0),
    })
    .unwrap();
    let template = MediaTemplate::binary(None).unwrap();
    uplink
        .connect(template, to, Writer::client([1; 32]), None)
        .unwrap();
    uplink
}

fn downlink(
    shape: JsonShape,
    from: AudioFormat,
    to: AudioFormat,
    frame: Option<usize>,
) -> Downlink {
    let mut downlink = Downlink::new(PlayoutConfig {
        format: to,
        template: MediaTemplate::binary(frame).unwrap(),
        mark: None,
        lead: 0.4,
        mark_every: 0.2,
        max_queued: 2.0,
    })
    .unwrap();
    let shape = JsonShape {
        item_id: Some("id".to_owned()),
        order: None,
        ..shape
    };
    downlink.connect(MediaShape::json(shape).unwrap(), from);
    downlink.admit("r", "i");
    downlink
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_uplink_does_the_same_however_the_bytes_are_cut(
        bytes in sockets(Role::Client),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        shape in shapes(),
        from in formats(),
        to in formats(),
    ) {
        let run = |pieces: &[&[u8]]| {
            let mut link = uplink(shape.clone(), from, to);
            let (mut parser, mut out) = (Parser::new(Role::Server, LIMIT), Vec::new());
            let mut feed = |data: &[u8], parser: &mut Parser, out: &mut Vec<u8>| link.feed(data, 1.0, parser, out);
            let (controls, error) = drive(pieces, &mut parser, &mut out, &mut feed);
            while link.behind() > 0 {
                link.replay(&mut out);
            }
            link.flush(&mut out);
            let mut stats = link.stats();
            stats.sent_messages = 0;
            (audio_of(Role::Server, &out), Done { controls, error, stats })
        };
        let whole = run(&[&bytes]);
        // What a second of history cannot hold depends on when it is sent.
        prop_assume!(whole.1.stats.dropped_bytes == 0);
        prop_assert_eq!(run(&cut(&bytes, &cuts)), whole);
    }

    #[test]
    fn a_downlink_does_the_same_however_the_bytes_are_cut(
        bytes in sockets(Role::Server),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        shape in shapes(),
        from in formats(),
        to in formats(),
        is_framed in any::<bool>(),
    ) {
        let run = |pieces: &[&[u8]]| {
            let mut link = downlink(shape.clone(), from, to, is_framed.then_some(320));
            let (mut parser, mut out) = (Parser::new(Role::Client, LIMIT), Vec::new());
            let mut feed = |data: &[u8], parser: &mut Parser, out: &mut Vec<u8>| link.feed(data, 1.0, parser, out);
            let (controls, error) = drive(pieces, &mut parser, &mut out, &mut feed);
            link.finish("i", 1.0, &mut out);
            for tick in 0..20 {
                link.playout().fill(1.0 + f64::from(tick), &mut out);
            }
            let mut stats = link.stats();
            stats.sent_messages = 0;
            (audio_of(Role::Client, &out), Done { controls, error, stats })
        };
        let whole = run(&[&bytes]);
        // What does not find room in the queue depends on when it is sent.
        prop_assume!(whole.1.stats.dropped_bytes == 0);
        prop_assert_eq!(run(&cut(&bytes, &cuts)), whole);
    }

    #[test]
    fn an_uplink_takes_anything(
        shape in shapes(),
        from in formats(),
        to in formats(),
        steps in prop::collection::vec((sockets(Role::Client), 0_u8..9, numbers(), any::<u16>()), 0..8),
    ) {
        let mut link = uplink(shape, from, to);
        let (mut parser, mut out) = (Parser::new(Role::Server, LIMIT), Vec::new());
        for (bytes, what, now, number) in steps {
            match what {
                0 => link.push(&bytes, Some(u64::from(number % 20)), now, &mut out),
                1 => link.push(&bytes, None, now, &mut out),
                2 => link.count(u64::from(number)),
                3 => link.flush(&mut out),
                4 => link.disconnect(),
                5 => {
                    let template = MediaTemplate::binary(None).unwrap();
                    let position = (number % 3 > 0).then_some(u64::from(number));
                    link.connect(template, to, Writer::client([1; 32]), position).unwrap();
                }
                6 => link.replay(&mut out),
                7 => link.collect(number % 2 == 0),
                _ => {
                    let _ = link.feed(&bytes, now, &mut parser, &mut out);
                }
            }
            prop_assert!(link.start() <= link.sent() && link.sent() <= link.end());
            prop_assert!(link.behind() <= link.end() - link.start());
            prop_assert!(link.silent() >= 0.0 && link.pause(now) >= 0.0);
            let _ = link.take_frames();
        }
        audio_of(Role::Server, &out);
    }

    #[test]
    fn a_downlink_takes_anything_and_accounts_for_it(
        shape in shapes(),
        from in formats(),
        to in formats(),
        is_framed in any::<bool>(),
        steps in prop::collection::vec((sockets(Role::Server), 0_u8..12, numbers(), any::<u16>()), 0..10),
    ) {
        let mut link = downlink(shape.clone(), from, to, is_framed.then_some(320));
        let (mut parser, mut out) = (Parser::new(Role::Client, LIMIT), Vec::new());
        let (mut queued, mut sent, mut cleared, mut again) = (0, 0, 0, 0);
        for (bytes, what, now, number) in steps {
            match what {
                0 => link.write("i", &bytes, number % 2 == 0, now, &mut out),
                1 => link.write("other", &bytes, false, now, &mut out),
                2 => link.finish("i", now, &mut out),
                3 => cleared += link.clear(now),
                4 => {
                    let before = link.playout().queued();
                    link.playout().hold(usize::from(number), now);
                    again += link.playout().queued() - before;
                }
                5 => link.playout().release(),
                6 => link.playout().mark(now, &mut out),
                7 => link.admit("r", if number % 2 == 0 { "i" } else { "r" }),
                8 => link.shut(),
                9 => link.connect(MediaShape::json(shape.clone()).unwrap(), from),
                10 => link.playout().fill(now, &mut out),
                _ => {
                    let _ = link.feed(&bytes, now, &mut parser, &mut out);
                }
            }
            for logged in link.playout().take_log() {
                match logged {
                    Logged::Queued { size, .. } => queued += size,
                    Logged::Sent { item, size, .. } if !item.is_empty() => sent += size,
                    _ => {}
                }
            }
            prop_assert_eq!(queued + again, sent + cleared + link.playout().queued());
            let _ = (link.playout().due(), link.playout().ahead(now));
        }
        audio_of(Role::Client, &out);
    }
}
