//! Caller to provider.

use trunkline_core::media::{JsonShape, MediaShape, Uplink, UplinkConfig};
use trunkline_core::websocket::MessageKind::{self, Text};
use trunkline_core::websocket::{Parser, Role, Writer};
use trunkline_core::{AudioFormat, StreamConverter};

use crate::wire::{
    audio_of, carrier_message, carrier_shape, carrier_wire, counter, frame, frames, linear, mulaw,
    read, template, wire,
};

const HEAD: &str = r#"{"type":"append","audio":""#;
const TAIL: &str = r#""}"#;

struct Up {
    uplink: Uplink,
    parser: Parser,
}

impl Up {
    fn new(change: impl FnOnce(&mut UplinkConfig)) -> Self {
        let mut config = UplinkConfig {
            shape: MediaShape::json(carrier_shape()).unwrap(),
            format: mulaw(),
            history: 2.0,
            ptime: 0.0,
            quiet_dbfs: None,
        };
        change(&mut config);
        Self {
            uplink: Uplink::new(config).unwrap(),
            parser: Parser::new(Role::Server, 65_536),
        }
    }

    fn connected(position: Option<u64>) -> Self {
        let mut up = Self::new(|_| {});
        up.connect(mulaw(), position);
        up
    }

    fn connect(&mut self, format: AudioFormat, position: Option<u64>) {
        let writer = Writer::client([2; 32]);
        self.uplink
            .connect(template(HEAD, TAIL, None), format, writer, position)
            .unwrap();
    }

    fn feed(&mut self, data: &[u8], now: f64) -> (Vec<Vec<u8>>, Option<MessageKind>) {
        let mut out = Vec::new();
        let end = self.uplink.feed(data, now, &mut self.parser, &mut out);
        (appended(&out), end.unwrap())
    }

    fn with(&mut self, write: impl FnOnce(&mut Uplink, &mut Vec<u8>)) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        write(&mut self.uplink, &mut out);
        appended(&out)
    }
}

/// The audio of the messages that a provider is sent.
fn appended(out: &[u8]) -> Vec<Vec<u8>> {
    let messages = read(Role::Server, out);
    messages
        .iter()
        .map(|message| audio_of(message, HEAD, TAIL))
        .collect()
}

#[test]
fn a_frame_is_sent_as_it_comes_and_what_piled_up_in_one_message() {
    let mut up = Up::connected(None);
    assert_eq!(up.feed(&carrier_wire([1]), 1.0), (vec![frame(1)], None));
    assert_eq!(
        up.feed(&carrier_wire([2, 3, 4]), 1.1),
        (vec![frames(2..5)], None)
    );
    let stats = up.uplink.stats();
    assert_eq!((stats.received_messages, stats.sent_messages), (4, 2));
    assert_eq!((stats.received_bytes, stats.sent_bytes), (640, 640));
    assert_eq!(stats.last_at, Some(1.1));
}

#[test]
fn reading_stops_at_what_is_not_audio() {
    let first = carrier_message(1, &frame(1));
    let last = carrier_message(3, &frame(3));
    let data = wire(
        Role::Client,
        &[
            (Text, first.as_bytes()),
            (Text, b"{\"event\":\"dtmf\"}"),
            (Text, last.as_bytes()),
        ],
    );
    let mut up = Up::connected(None);
    assert_eq!(up.feed(&data, 1.0), (vec![frame(1)], Some(Text)));
    assert_eq!(up.parser.payload(), b"{\"event\":\"dtmf\"}");
    up.uplink.count(2);
    assert_eq!(up.feed(b"", 1.0), (vec![frame(3)], None));
    assert_eq!(up.uplink.stats().missing, 0);
}

#[test]
fn a_broken_socket_loses_nothing_that_came_before() {
    let data = [carrier_wire([1]), vec![0xFF, 0x80, 0, 0, 0, 0]].concat();
    let mut up = Up::connected(None);
    let mut out = Vec::new();
    let end = up.uplink.feed(&data, 1.0, &mut up.parser, &mut out);
    assert_eq!(end.unwrap_err().close_code(), 1002);
    assert_eq!(appended(&out), [frame(1)]);
}

#[test]
fn numbers_that_are_skipped_or_repeated_are_counted() {
    let mut up = Up::connected(None);
    up.feed(&carrier_wire([5, 6, 9, 8, 9, 10]), 1.0);
    let stats = up.uplink.stats();
    assert_eq!(
        (stats.missing, stats.reordered, stats.received_messages),
        (2, 2, 6)
    );
}

#[test]
fn audio_is_converted_as_the_converter_does() {
    let mut up = Up::new(|_| {});
    up.connect(linear(24_000), None);
    let mut converter = StreamConverter::new(mulaw(), linear(24_000));
    for number in 1..5 {
        let audio = frame(number);
        let data = carrier_wire([number.into()]);
        assert_eq!(up.feed(&data, 1.0).0, [converter.convert(&audio)]);
    }
    assert_eq!(up.with(Uplink::flush), [converter.flush()]);
}

#[test]
fn audio_is_gathered_until_a_message_is_worth_it() {
    let mut up = Up::new(|config| config.ptime = 0.04);
    up.connect(mulaw(), None);
    assert_eq!(up.feed(&carrier_wire([1]), 1.0).0, Vec::<Vec<u8>>::new());
    assert_eq!(up.feed(&carrier_wire([2]), 1.02).0, [frames(1..3)]);
    up.feed(&carrier_wire([3]), 1.04);
    assert_eq!(up.with(Uplink::flush), [frame(3)]);
}

#[test]
fn a_new_provider_is_sent_again_what_it_has_to_hear() {
    let mut up = Up::connected(None);
    for number in 0..100 {
        up.feed(&carrier_wire([number]), 1.0);
    }
    assert_eq!((up.uplink.start(), up.uplink.end()), (0, 16_000));
    up.connect(mulaw(), Some(160 * 30));
    assert_eq!(up.uplink.behind(), 70 * 160);
    assert_eq!(up.with(Uplink::replay), [frames(30..80)]);
    assert_eq!(
        up.feed(&carrier_wire([100]), 2.0).0,
        Vec::<Vec<u8>>::new(),
        "it waits its turn"
    );
    assert_eq!(up.with(Uplink::replay), [frames(80..101)]);
    assert_eq!((up.uplink.behind(), up.uplink.sent()), (0, 101 * 160));
    assert_eq!(up.with(Uplink::replay), Vec::<Vec<u8>>::new());
    assert_eq!(up.feed(&carrier_wire([101]), 2.0).0, [frame(101)]);
    assert_eq!(up.uplink.stats().dropped_bytes, 0);
}

#[test]
fn without_a_provider_the_last_seconds_are_kept_and_the_rest_is_counted() {
    let mut up = Up::new(|_| {});
    for number in 0..=149 {
        assert_eq!(
            up.feed(&carrier_wire([number]), 1.0).0,
            Vec::<Vec<u8>>::new()
        );
    }
    assert_eq!(up.uplink.start(), 50 * 160);
    assert_eq!(up.uplink.stats().dropped_bytes, 50 * 160);
    up.connect(mulaw(), Some(0));
    assert_eq!(up.with(Uplink::replay), [frames(50..100)]);
    up.uplink.disconnect();
    assert_eq!((up.with(Uplink::replay), up.uplink.behind()), (vec![], 0));
    up.connect(mulaw(), None);
    assert_eq!(up.uplink.stats().dropped_bytes, 100 * 160);
    assert_eq!(up.feed(&carrier_wire([150]), 2.0).0, [frame(150)]);
}

#[test]
fn a_flood_is_sent_a_second_at_a_time_and_reading_is_to_pause() {
    let mut up = Up::connected(None);
    let (sent, _) = up.feed(&carrier_wire(0..75), 1.0);
    assert_eq!(sent, [frames(0..50)]);
    assert_eq!(up.uplink.behind(), 25 * 160);
    assert!(up.uplink.pause(1.0) <= 0.0);
    for _ in 0..9 {
        up.feed(&carrier_wire(0..75), 1.0);
    }
    assert!((up.uplink.pause(1.0) - 1.25).abs() < 1e-6);
}

#[test]
fn audio_out_of_order_is_put_in_order() {
    let shape = JsonShape {
        counter: None,
        order: Some(counter("media.chunk", false)),
        ..carrier_shape()
    };
    let mut up = Up::new(|config| config.shape = MediaShape::json(shape).unwrap());
    up.connect(mulaw(), None);
    assert_eq!(up.feed(&carrier_wire([1]), 1.0).0, [frame(1)]);
    assert_eq!(up.feed(&carrier_wire([3]), 1.0).0, Vec::<Vec<u8>>::new());
    assert_eq!(up.feed(&carrier_wire([2]), 1.0).0, [frames(2..4)]);
    assert_eq!(up.feed(&carrier_wire([2]), 1.0).0, Vec::<Vec<u8>>::new());
    assert_eq!(up.feed(&carrier_wire(5..10), 1.0).0, [frames(5..10)]);
    assert_eq!(up.uplink.stats().late, 1);
    let late = up.with(|uplink, out| uplink.push(&frame(4), Some(4), 1.0, out));
    assert_eq!((late, up.uplink.stats().late), (vec![], 2));
}

#[test]
fn silence_is_measured_and_frames_are_collected_on_demand() {
    let mut up = Up::new(|config| config.quiet_dbfs = Some(-46.0));
    up.uplink.collect(true);
    up.feed(&carrier_wire([255, 255, 255]), 1.0);
    assert!((up.uplink.silent() - 0.06).abs() < 1e-9);
    up.uplink.heard();
    assert!(up.uplink.silent() <= 0.0);
    up.feed(&carrier_wire([255, 0]), 1.5);
    assert!(up.uplink.silent() <= 0.0);
    let collected = up.uplink.take_frames();
    assert_eq!(collected.len(), 5);
    assert_eq!(collected[4], (frame(0), 1.5));
    up.uplink.collect(false);
    up.feed(&carrier_wire([1]), 2.0);
    assert_eq!(up.uplink.take_frames().len(), 0);
}
