//! Provider to caller.

use std::sync::Arc;

use trunkline_core::StreamConverter;
use trunkline_core::media::{
    Downlink, JsonShape, Logged, MediaShape, MediaTemplate, PlayoutConfig,
};
use trunkline_core::websocket::MessageKind::{self, Binary, Text};
use trunkline_core::websocket::{Parser, Role};

use crate::wire::{
    MARK, MEDIA, audio_of, base64, frame, frames, linear, mulaw, playout, read, says, wire,
};

/// A message to the carrier.
#[derive(Debug, PartialEq)]
enum Out {
    Audio(Vec<u8>),
    Mark(String),
}

use Out::{Audio, Mark};

struct Down {
    downlink: Downlink,
    parser: Parser,
}

impl Down {
    fn new(config: PlayoutConfig) -> Self {
        let shape = JsonShape {
            audio: "delta".to_owned(),
            expected: vec![says("type", "audio")],
            response_id: Some("response".to_owned()),
            item_id: Some("item".to_owned()),
            ..JsonShape::default()
        };
        let mut downlink = Downlink::new(config).unwrap();
        downlink.connect(MediaShape::json(shape).unwrap(), mulaw());
        Self {
            downlink,
            parser: Parser::new(Role::Client, 1 << 20),
        }
    }

    fn admitted(config: PlayoutConfig) -> Self {
        let mut down = Self::new(config);
        down.downlink.admit("r", "i");
        down
    }

    fn feed(&mut self, data: &[u8], now: f64) -> (Vec<Out>, Option<MessageKind>) {
        let mut out = Vec::new();
        let end = self.downlink.feed(data, now, &mut self.parser, &mut out);
        (outs(&out), end.unwrap())
    }

    fn with(&mut self, write: impl FnOnce(&mut Downlink, &mut Vec<u8>)) -> Vec<Out> {
        let mut out = Vec::new();
        write(&mut self.downlink, &mut out);
        outs(&out)
    }

    fn fill(&mut self, now: f64) -> Vec<Out> {
        self.with(|downlink, out| downlink.playout().fill(now, out))
    }
}

fn outs(bytes: &[u8]) -> Vec<Out> {
    let one = |message: &String| match message.strip_prefix(MARK.0) {
        Some(rest) => Mark(rest.strip_suffix(MARK.1).unwrap().to_owned()),
        None => Audio(audio_of(message, MEDIA.0, MEDIA.1)),
    };
    read(Role::Client, bytes).iter().map(one).collect()
}

fn delta(response: &str, item: &str, audio: &[u8]) -> Vec<u8> {
    let audio = base64(audio);
    let text =
        format!(r#"{{"type":"audio","response":"{response}","item":"{item}","delta":"{audio}"}}"#);
    wire(Role::Server, &[(Text, text.as_bytes())])
}

fn mark(name: &str) -> Out {
    Mark(name.to_owned())
}

#[test]
fn only_audio_of_the_admitted_item_is_taken() {
    let mut down = Down::new(playout(None));
    assert_eq!(
        down.feed(&delta("r", "i", &frame(1)), 1.0),
        (vec![], Some(Text))
    );
    down.downlink.admit("r", "i");
    let (out, end) = down.feed(&delta("r", "i", &frame(2)), 1.0);
    assert_eq!((out, end), (vec![Audio(frame(2)), mark("0:160")], None));
    assert_eq!(
        down.feed(&delta("r", "other", &frame(3)), 1.0).1,
        Some(Text)
    );
    assert_eq!(
        down.feed(&delta("other", "i", &frame(3)), 1.0).1,
        Some(Text)
    );
    down.downlink.shut();
    assert_eq!(down.feed(&delta("r", "i", &frame(3)), 1.0).1, Some(Text));
    down.downlink.disconnect();
    down.downlink.admit("r", "i");
    assert_eq!(down.feed(&delta("r", "i", &frame(3)), 1.0).1, Some(Text));
    let stats = down.downlink.stats();
    assert_eq!(
        (stats.received_messages, stats.sent_messages, stats.marks),
        (1, 1, 1)
    );
    assert_eq!(stats.last_at, Some(1.0));
}

#[test]
fn a_gate_without_ids_lets_all_audio_through() {
    let mut down = Down::new(playout(None));
    down.downlink.connect(MediaShape::binary(None), mulaw());
    let data = wire(Role::Server, &[(Binary, &frame(1))]);
    assert_eq!(down.feed(&data, 1.0).1, Some(Binary));
    down.downlink.admit("any", "minted");
    assert_eq!(down.feed(&data, 1.0).0[0], Audio(frame(1)));
    let log = down.downlink.playout().take_log();
    assert_eq!(
        log[0],
        Logged::Queued {
            item: Arc::from("minted"),
            size: 160,
            at: 1.0
        }
    );
}

#[test]
fn no_more_is_sent_than_the_lead_allows() {
    let mut down = Down::admitted(playout(None));
    let second: Vec<u8> = frames(0..50);
    let (out, _) = down.feed(&delta("r", "i", &second), 10.0);
    assert_eq!(out, [Audio(second[..3_200].to_vec()), mark("0:3200")]);
    let due = down.downlink.playout().due().unwrap();
    assert!((due - 10.2).abs() < 1e-9);
    assert_eq!(down.fill(10.19), []);
    assert_eq!(
        down.fill(10.2),
        [Audio(second[3_200..4_800].to_vec()), mark("0:4800")]
    );
    assert_eq!(down.downlink.playout().queued(), 3_200);
    assert!((down.downlink.playout().ahead(10.3) - 0.3).abs() < 1e-9);
    assert_eq!(
        down.fill(11.0),
        [Audio(second[4_800..].to_vec()), mark("0:8000")]
    );
    assert_eq!(down.downlink.playout().due(), None);
}

#[test]
fn a_mark_follows_the_end_of_an_item_once() {
    let mut down = Down::admitted(playout(None));
    let (out, _) = down.feed(&delta("r", "i", &frame(1)), 1.0);
    assert_eq!(out, [Audio(frame(1)), mark("0:160")]);
    let (out, _) = down.feed(&delta("r", "i", &frame(2)), 1.02);
    assert_eq!(out, [Audio(frame(2))], "the last mark is not long ago");
    let finish = |downlink: &mut Downlink, out: &mut Vec<u8>| downlink.finish("i", 1.04, out);
    assert_eq!(down.with(finish), [mark("0:320")]);
    assert_eq!(down.with(finish), []);
    let (out, _) = down.feed(&delta("r", "i", &frame(3)), 2.0);
    assert_eq!(out, [Audio(frame(3)), mark("0:480")]);
}

#[test]
fn the_end_of_an_item_that_is_over_ends_no_other() {
    let mut down = Down::admitted(playout(Some(160)));
    down.feed(&delta("r", "i", &[1; 200]), 1.0);
    down.downlink.admit("r", "j");
    down.feed(&delta("r", "j", &[2; 20]), 1.0);
    let finish =
        |item| move |downlink: &mut Downlink, out: &mut Vec<u8>| downlink.finish(item, 1.1, out);
    assert_eq!(down.with(finish("i")), []);
    let padded = [vec![1; 40], vec![2; 20], vec![0xFF; 100]].concat();
    assert_eq!(down.with(finish("j")), [Audio(padded), mark("0:320")]);
    down.feed(&delta("r", "j", &[3; 20]), 2.0);
    down.downlink.clear(2.1);
    assert_eq!(down.with(finish("j")), []);
}

#[test]
fn whole_frames_are_sent_where_the_carrier_asks_for_them() {
    let mut down = Down::admitted(playout(Some(160)));
    let (out, _) = down.feed(&delta("r", "i", &[1; 250]), 1.0);
    assert_eq!(out[0], Audio(vec![1; 160]));
    let (out, _) = down.feed(&delta("r", "i", &[2; 30]), 1.02);
    assert_eq!((out, down.downlink.playout().due()), (vec![], None));
    let padded = [vec![1; 90], vec![2; 30], vec![0xFF; 40]].concat();
    let out = down.with(|downlink, out| downlink.finish("i", 1.04, out));
    assert_eq!(out, [Audio(padded), mark("0:320")]);
    let log: Vec<Logged> = down.downlink.playout().take_log().into();
    let sent = |item: &str, size, at| Logged::Sent {
        item: Arc::from(item),
        size,
        at,
    };
    assert!(log.ends_with(&[
        sent("i", 120, 1.04),
        sent("", 40, 1.04),
        Logged::Marked {
            name: "0:320".to_owned(),
            at: 1.04
        }
    ]));
}

#[test]
fn binary_messages_hold_one_frame_each() {
    let template = MediaTemplate::binary(Some(320)).unwrap();
    let config = PlayoutConfig {
        template,
        format: linear(8_000),
        mark: None,
        ..playout(None)
    };
    let mut down = Down::new(config);
    down.downlink
        .connect(MediaShape::binary(None), linear(8_000));
    down.downlink.admit("", "i");
    let audio: Vec<u8> = (0..=255).cycle().take(1_000).collect();
    let mut out = Vec::new();
    let data = wire(Role::Server, &[(Binary, &audio)]);
    down.downlink
        .feed(&data, 1.0, &mut down.parser, &mut out)
        .unwrap();
    down.downlink.finish("i", 1.0, &mut out);
    let mut parser = Parser::new(Role::Client, 1 << 20);
    parser.feed(&out);
    let mut heard = Vec::new();
    while let Some(kind) = parser.next_message().unwrap() {
        assert_eq!((kind, parser.payload().len()), (Binary, 320));
        heard.extend_from_slice(parser.payload());
        if heard.len() == 960 {
            // The rest waits for the lead: a partial frame goes last.
            break;
        }
    }
    assert_eq!(heard, audio[..960]);
    let mut out = Vec::new();
    down.downlink.playout().fill(2.0, &mut out);
    assert_eq!(down.downlink.stats().sent_bytes, 1_280);
    assert_eq!(down.downlink.stats().sent_messages, 4);
}

#[test]
fn a_clear_drops_what_waits_and_begins_a_new_generation() {
    let mut down = Down::admitted(playout(None));
    down.feed(&delta("r", "i", &[1; 8_000]), 1.0);
    assert_eq!(down.downlink.clear(1.1), 4_800);
    assert_eq!(
        (
            down.downlink.playout().queued(),
            down.downlink.playout().due()
        ),
        (0, None)
    );
    assert!(down.downlink.playout().ahead(1.1) <= 0.0);
    let (out, _) = down.feed(&delta("r", "i", &frame(2)), 1.1);
    assert_eq!(out, [Audio(frame(2)), mark("1:160")]);
}

#[test]
fn what_is_held_is_heard_again_from_where_it_fell_silent() {
    let mut down = Down::admitted(playout(None));
    let audio: Vec<u8> = frames(0..40);
    down.feed(&delta("r", "i", &audio), 1.0);
    down.downlink.playout().hold(1_600, 1.2);
    assert_eq!(down.fill(1.3), []);
    assert_eq!(down.feed(&delta("r", "i", &frame(40)), 1.3), (vec![], None));
    assert_eq!(down.downlink.playout().due(), None);
    let again = down.with(|downlink, out| {
        downlink.playout().release();
        downlink.playout().fill(2.0, out);
    });
    assert_eq!(again, [Audio(audio[1_600..4_800].to_vec()), mark("1:3200")]);
    assert_eq!(down.downlink.playout().queued(), 6_400 + 160 - 4_800);
    down.downlink.playout().hold(usize::MAX, 2.0);
    assert_eq!(down.downlink.clear(2.1), 6_400 + 160 - 1_600);
    assert_eq!(down.fill(3.0), []);
}

#[test]
fn what_is_beyond_the_bound_is_dropped_and_counted() {
    let mut down = Down::admitted(PlayoutConfig {
        max_queued: 0.1,
        ..playout(None)
    });
    down.feed(&delta("r", "i", &[1; 1_000]), 1.0);
    assert_eq!(down.downlink.stats().dropped_bytes, 200);
    assert_eq!(down.downlink.playout().max_queued(), 800);
}

#[test]
fn audio_may_come_another_way() {
    let mut down = Down::new(playout(None));
    down.downlink
        .connect(MediaShape::binary(None), linear(24_000));
    let pcm: Vec<u8> = (0..=255).cycle().take(960).collect();
    let mut converter = StreamConverter::new(linear(24_000), mulaw());
    let out = down.with(|downlink, out| downlink.write("i", &pcm, false, 1.0, out));
    assert_eq!(out[0], Audio(converter.convert(&pcm)));
    let out = down.with(|downlink, out| downlink.finish("i", 1.1, out));
    assert_eq!(out[0], Audio(converter.flush()));
    let out = down.with(|downlink, out| downlink.write("clip", &frame(7), true, 2.0, out));
    assert_eq!(out[0], Audio(frame(7)));
    down.downlink.disconnect();
    let out = down.with(|downlink, out| downlink.write("clip", &frame(8), false, 3.0, out));
    assert_eq!(out[0], Audio(frame(8)));
}

#[test]
fn the_log_tells_of_every_byte() {
    let mut down = Down::admitted(playout(None));
    down.downlink.collect(true);
    down.feed(&delta("r", "i", &[1; 4_000]), 1.0);
    down.downlink.admit("r", "j");
    down.feed(&delta("r", "j", &[2; 1_000]), 1.0);
    for tick in 0..20 {
        down.fill(1.0 + f64::from(tick) * 0.1);
    }
    let (mut queued, mut sent) = ([0, 0], [0, 0]);
    for logged in down.downlink.playout().take_log() {
        match logged {
            Logged::Queued { item, size, .. } => queued[usize::from(&*item == "j")] += size,
            Logged::Sent { item, size, .. } => sent[usize::from(&*item == "j")] += size,
            Logged::Marked { .. } => {}
        }
    }
    assert_eq!((queued, sent), ([4_000, 1_000], [4_000, 1_000]));
    let collected = down.downlink.playout().take_frames();
    assert_eq!(
        collected
            .iter()
            .map(|(audio, _)| audio.len())
            .sum::<usize>(),
        5_000
    );
    assert!(down.downlink.playout().take_log().is_empty());
}
