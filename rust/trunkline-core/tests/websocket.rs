//! What RFC 6455 says of frames, case by case.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use trunkline_core::websocket::{
    InvalidControl, MessageKind, NO_STATUS, Parser, Role, WebSocketError, Writer, close_status,
    write_frame,
};

use MessageKind::{Binary, Close, Ping, Pong, Text};

const LIMIT: usize = 100_000;

type Messages = Vec<(MessageKind, Vec<u8>)>;

/// All messages of the bytes, and how reading them ended.
fn read_pieces<'a>(
    role: Role,
    limit: usize,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Messages, Option<WebSocketError>) {
    let mut parser = Parser::new(role, limit);
    let mut messages = Vec::new();
    for piece in pieces {
        parser.feed(piece);
        loop {
            match parser.next_message() {
                Ok(Some(kind)) => messages.push((kind, parser.payload().to_vec())),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
    }
    (messages, None)
}

fn read(role: Role, bytes: &[u8]) -> (Messages, Option<WebSocketError>) {
    read_pieces(role, LIMIT, [bytes])
}

fn from_server(bytes: &[u8]) -> Result<Messages, u16> {
    let (messages, error) = read(Role::Client, bytes);
    error.map_or(Ok(messages), |error| Err(error.close_code()))
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first, u8::try_from(payload.len()).unwrap()];
    bytes.extend_from_slice(payload);
    bytes
}

fn text(message: &str) -> (MessageKind, Vec<u8>) {
    (Text, message.as_bytes().to_vec())
}

// ── section 5.7, the examples ─────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn the_standards_examples_are_read() {
    let hello = vec![text("Hello")];
    let unmasked = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    assert_eq!(from_server(&unmasked), Ok(hello.clone()));
    let masked = [
        0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    assert_eq!(read(Role::Server, &masked), (hello.clone(), None));
    let fragmented = [0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f];
    assert_eq!(from_server(&fragmented), Ok(hello));
    let asked = [0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    assert_eq!(from_server(&asked), Ok(vec![(Ping, b"Hello".to_vec())]));
    let answered = [
        0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    assert_eq!(
        read(Role::Server, &answered),
        (vec![(Pong, b"Hello".to_vec())], None)
    );
    for (head, len) in [
        (&[0x82, 0x7E, 0x01, 0x00][..], 256),
        (&[0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0], 65_536),
    ] {
        let bytes = [head, &vec![7; len]].concat();
        assert_eq!(from_server(&bytes), Ok(vec![(Binary, vec![7; len])]));
    }
}

#[test]
fn the_standards_examples_are_written() {
    let mut out = Vec::new();
    write_frame(Text, b"Hello", None, &mut out);
    write_frame(Text, b"Hello", Some([0x37, 0xfa, 0x21, 0x3d]), &mut out);
    let masked = [
        0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    assert_eq!(out, [&b"\x81\x05Hello"[..], &masked].concat());
}

#[test]
fn a_length_is_written_as_short_as_it_can_be() {
    for (len, head) in [
        (0, &[0x82, 0][..]),
        (125, &[0x82, 125]),
        (126, &[0x82, 126, 0, 126]),
        (65_535, &[0x82, 126, 0xFF, 0xFF]),
        (65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        let mut out = Vec::new();
        Writer::server().message(Binary, &vec![0; len], &mut out);
        assert_eq!((&out[..head.len()], out.len()), (head, head.len() + len));
        assert_eq!(from_server(&out), Ok(vec![(Binary, vec![0; len])]));
    }
}

#[test]
fn a_length_that_could_be_shorter_is_read() {
    let long = [&[0x81, 0x7F, 0, 0, 0, 0, 0, 0, 0, 2][..], b"hi"].concat();
    assert_eq!(from_server(&long), Ok(vec![text("hi")]));
}

// ── section 5.1 to 5.3, masks, and 10.3, their keys ───────────────────────────────────────────────────────────────────

#[test]
fn a_frame_of_the_wrong_side_is_refused() {
    let (_, error) = read(Role::Server, &frame(0x81, b"hi"));
    assert_eq!(error.map(WebSocketError::close_code), Some(1002));
    assert_eq!(from_server(&[0x81, 0x80, 1, 2, 3, 4]), Err(1002));
}

#[test]
fn a_client_masks_each_frame_with_another_key() {
    let mut writer = Writer::client([3; 32]);
    let mut keys = Vec::new();
    for _ in 0..1_000 {
        let mut out = Vec::new();
        writer.message(Text, b"the same", &mut out);
        assert_eq!(out[1], 0x80 | 8);
        keys.push(<[u8; 4]>::try_from(&out[2..6]).unwrap());
        assert_eq!(read(Role::Server, &out), (vec![text("the same")], None));
    }
    keys.sort_unstable();
    keys.dedup();
    assert!(keys.len() > 990, "{} keys", keys.len());
    let mut other = Vec::new();
    Writer::client([4; 32]).message(Text, b"the same", &mut other);
    let mut again = Vec::new();
    Writer::client([3; 32]).message(Text, b"the same", &mut again);
    assert_ne!(other, again);
    assert_eq!(format!("{writer:?}"), "Writer(client)");
}

// ── section 5.2, the first byte ───────────────────────────────────────────────────────────────────────────────────────

#[test]
fn reserved_bits_and_opcodes_are_refused() {
    for bit in [0x40, 0x20, 0x10] {
        assert_eq!(from_server(&frame(0x81 | bit, b"")), Err(1002));
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        assert_eq!(from_server(&frame(0x80 | opcode, b"")), Err(1002));
    }
}

#[test]
fn a_length_of_64_bits_is_refused() {
    let bytes = [0x82, 0x7F, 0x80, 0, 0, 0, 0, 0, 0, 1];
    assert_eq!(from_server(&bytes), Err(1002));
}

// ── section 5.4, fragments ────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn control_frames_may_stand_between_fragments() {
    let bytes = [
        frame(0x01, b"a"),
        frame(0x89, b"ping"),
        frame(0x00, b""),
        frame(0x8A, b""),
        frame(0x80, b"b"),
        frame(0x82, b"c"),
    ]
    .concat();
    let expected = vec![
        (Ping, b"ping".to_vec()),
        (Pong, vec![]),
        text("ab"),
        (Binary, b"c".to_vec()),
    ];
    assert_eq!(from_server(&bytes), Ok(expected));
}

#[test]
fn the_other_side_may_close_between_fragments() {
    let bytes = [frame(0x01, b"a"), frame(0x88, b"\x03\xe9")].concat();
    assert_eq!(from_server(&bytes), Ok(vec![(Close, b"\x03\xe9".to_vec())]));
}

#[test]
fn fragments_out_of_order_are_refused() {
    assert_eq!(from_server(&frame(0x80, b"a")), Err(1002));
    assert_eq!(from_server(&frame(0x00, b"a")), Err(1002));
    for second in [0x81, 0x01, 0x82, 0x02] {
        let bytes = [frame(0x01, b"a"), frame(second, b"b")].concat();
        assert_eq!(from_server(&bytes), Err(1002), "{second:#x}");
    }
    let whole = [frame(0x81, b"a"), frame(0x80, b"b")].concat();
    assert_eq!(
        read(Role::Client, &whole).0,
        [text("a")],
        "what came before is read"
    );
}

#[test]
fn an_empty_message_of_empty_fragments_is_one() {
    let bytes = [frame(0x02, b""), frame(0x00, b""), frame(0x80, b"")].concat();
    assert_eq!(from_server(&bytes), Ok(vec![(Binary, vec![])]));
}

// ── section 5.5, control frames ───────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_control_frame_is_short_and_whole() {
    assert_eq!(
        from_server(&frame(0x89, &[0; 125])),
        Ok(vec![(Ping, vec![0; 125])])
    );
    for opcode in [8, 9, 10] {
        assert_eq!(from_server(&frame(opcode, b"")), Err(1002));
        assert_eq!(from_server(&[0x80 | opcode, 126, 0, 126]), Err(1002));
    }
    let mut out = Vec::new();
    let too_long = InvalidControl::TooLong {
        len: 126,
        limit: 125,
    };
    assert_eq!(
        Writer::server().control(Ping, &[0; 126], &mut out),
        Err(too_long)
    );
    assert_eq!(
        Writer::server().close(1000, &"é".repeat(62), &mut out),
        Err(InvalidControl::TooLong {
            len: 124,
            limit: 123
        })
    );
    assert!(out.is_empty());
}

#[test]
fn a_control_frame_has_no_part_in_the_limit() {
    let (messages, error) = read_pieces(Role::Client, 3, [&frame(0x89, b"long")[..]]);
    assert_eq!((messages, error), (vec![(Ping, b"long".to_vec())], None));
}

// ── section 7.4, close codes ──────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn close_codes_are_those_that_may_be_on_the_wire() {
    let allowed = |code| matches!(code, 1000..=1003 | 1007..=1014) || (3000..5000).contains(&code);
    for code in 0..=u16::MAX {
        let bytes = frame(0x88, &code.to_be_bytes());
        let expected = if allowed(code) {
            Ok(vec![(Close, code.to_be_bytes().to_vec())])
        } else {
            Err(1002)
        };
        assert_eq!(from_server(&bytes), expected, "{code}");
        let mut out = Vec::new();
        let written = Writer::server().close(code, "", &mut out);
        assert_eq!(
            written.is_ok(),
            allowed(code) || code == NO_STATUS,
            "{code}"
        );
    }
}

#[test]
fn a_close_frame_has_a_code_and_a_reason_or_nothing() {
    let mut out = Vec::new();
    Writer::server().close(1001, "weg: ü", &mut out).unwrap();
    let closed = from_server(&out).unwrap();
    assert_eq!(close_status(&closed[0].1), (1001, "weg: ü"));
    let empty = from_server(&frame(0x88, b"")).unwrap();
    assert_eq!(close_status(&empty[0].1), (NO_STATUS, ""));
    assert_eq!(from_server(&frame(0x88, b"\x03")), Err(1002));
    assert_eq!(from_server(&frame(0x88, b"\x03\xe8\xff")), Err(1007));
    assert!(Writer::server().close(NO_STATUS, "why", &mut out).is_err());
}

#[test]
fn nothing_is_read_after_a_close_frame() {
    let bytes = [frame(0x88, b""), frame(0x81, b"late")].concat();
    let mut parser = Parser::new(Role::Client, LIMIT);
    parser.feed(&bytes);
    assert_eq!(parser.next_message(), Ok(Some(Close)));
    assert!(parser.has_ended());
    assert_eq!(parser.next_message(), Ok(None));
    parser.feed(&frame(0xFF, b"nonsense"));
    assert_eq!(parser.next_message(), Ok(None));
}

#[test]
fn an_error_is_for_good() {
    let mut parser = Parser::new(Role::Client, LIMIT);
    parser.feed(&[0xFF, 0]);
    let error = parser.next_message().unwrap_err();
    parser.feed(&frame(0x81, b"fine"));
    assert_eq!(parser.next_message(), Err(error));
    assert_eq!(error.to_string(), "a reserved bit");
}

// ── section 8.1, text ─────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn text_is_utf_8() {
    for broken in [
        &b"\xff"[..],
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"cut \xe2\x82",
    ] {
        assert_eq!(from_server(&frame(0x81, broken)), Err(1007), "{broken:?}");
        assert!(from_server(&frame(0x82, broken)).is_ok());
    }
    assert_eq!(
        from_server(&frame(0x81, "κόσμε 🎧".as_bytes())),
        Ok(vec![text("κόσμε 🎧")])
    );
}

#[test]
fn a_character_may_be_cut_by_fragments() {
    let whole = "κ🎧é".as_bytes();
    for cut in 0..=whole.len() {
        for second in cut..=whole.len() {
            let bytes = [
                frame(0x01, &whole[..cut]),
                frame(0x00, &whole[cut..second]),
                frame(0x80, &whole[second..]),
            ]
            .concat();
            assert_eq!(from_server(&bytes), Ok(vec![text("κ🎧é")]));
        }
    }
}

#[test]
fn broken_text_is_noticed_before_its_last_fragment() {
    assert_eq!(from_server(&frame(0x01, b"\xe2\x28")), Err(1007));
    let cut = [frame(0x01, b"\xe2"), frame(0x80, b"")].concat();
    assert_eq!(from_server(&cut), Err(1007));
}

// ── section 10.4, limits ──────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_message_beyond_the_limit_is_refused_by_its_head() {
    let large = WebSocketError::TooLarge { limit: 10 };
    let read = |bytes: &[u8]| read_pieces(Role::Client, 10, [bytes]);
    assert_eq!(read(&frame(0x82, &[0; 10])).1, None);
    assert_eq!(read(&[0x82, 11]).1, Some(large));
    assert_eq!(read(&[0x82, 127, 0x7F, 0, 0, 0, 0, 0, 0, 0]).1, Some(large));
    let fragments = [frame(0x02, &[0; 6]), frame(0x00, &[0; 4])].concat();
    assert_eq!(read(&fragments).1, None);
    assert_eq!(read(&[&fragments[..], &[0x80, 1]].concat()).1, Some(large));
    assert_eq!(large.close_code(), 1009);
}
