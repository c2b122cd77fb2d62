//! What is audio and what is left to others.

use trunkline_core::media::{Expected, JsonShape, MediaShape, Read, Rule};
use trunkline_core::websocket::MessageKind::{self, Binary, Text};

use crate::wire::carrier_shape;

fn fits(shape: &JsonShape, text: &str) -> bool {
    let shape = MediaShape::json(shape.clone()).unwrap();
    shape.read(Text, text.as_bytes(), "r", "i", &mut Read::default())
}

#[test]
fn a_message_fits_in_every_respect_or_not_at_all() {
    let shape = carrier_shape();
    let good = r#"{"event":"media","number":"7","media":{"payload":"AAAA"},"id":"S"}"#;
    assert!(fits(&shape, good));
    for (from, to) in [
        ("\"media\",", "\"mark\","),
        ("\"S\"", "\"T\""),
        ("\"S\"", "7"),
        (",\"id\":\"S\"", ""),
        ("\"7\"", "7"),
        ("\"7\"", "\"-7\""),
        ("\"7\"", "\"\""),
        ("\"7\"", "\"1234567890123456789\""),
        ("\"7\"", "null"),
        ("AAAA", "AAA"),
        ("AAAA", "A\\u0041AA"),
        ("\"AAAA\"", "7"),
        ("event", "Event"),
        ("media\",", "m\\u0065dia\","),
        ("}", ""),
        ("\"id\":\"S\"", "\"id\":\"S\",\"id\":\"S\""),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        assert!(!fits(&shape, &bad), "{bad}");
    }
}

#[test]
fn members_may_be_optional_numbers_digits_or_any_text() {
    let expected = |path: &str, rule, is_optional| Expected {
        path: path.to_owned(),
        rule,
        is_optional,
    };
    let shape = JsonShape {
        audio: "a".to_owned(),
        expected: vec![
            expected(
                "t",
                Rule::OneOf(vec!["in".to_owned(), "inbound".to_owned()]),
                true,
            ),
            expected("n", Rule::Number("1".to_owned()), true),
            expected("d", Rule::Digits, true),
            expected("x", Rule::Text, true),
        ],
        max_audio: Some(3),
        ..JsonShape::default()
    };
    for (rest, is_media) in [
        ("", true),
        (r#","t":"in","n":1,"d":"0012","x":"é\n""#, true),
        (r#","t":"inbound""#, true),
        (r#","t":"out""#, false),
        (r#","t":null"#, false),
        (r#","n":"1""#, false),
        (r#","n":1.0"#, false),
        (r#","d":12"#, false),
        (r#","d":"1x""#, false),
        (r#","x":[]"#, false),
    ] {
        assert_eq!(
            fits(&shape, &format!(r#"{{"a":"AAAA"{rest}}}"#)),
            is_media,
            "{rest}"
        );
    }
    assert!(
        !fits(&shape, r#"{"a":"AAAAAAAA"}"#),
        "more audio than is allowed"
    );
}

#[test]
fn ids_are_compared_where_there_are_any() {
    let shape = JsonShape {
        audio: "delta".to_owned(),
        response_id: Some("response_id".to_owned()),
        item_id: Some("item_id".to_owned()),
        ..JsonShape::default()
    };
    let message = |response, item| {
        format!(r#"{{"delta":"AAAA","response_id":"{response}","item_id":"{item}"}}"#)
    };
    assert!(fits(&shape, &message("r", "i")));
    assert!(!fits(&shape, &message("x", "i")));
    assert!(!fits(&shape, &message("r", "x")));
    assert!(!fits(&shape, r#"{"delta":"AAAA","item_id":"i"}"#));
}

#[test]
fn binary_messages_are_audio_or_json_as_the_shape_says() {
    let mut read = Read::default();
    let mut fits =
        |shape: &MediaShape, kind, payload: &[u8]| shape.read(kind, payload, "", "", &mut read);
    assert!(fits(&MediaShape::binary(Some(4)), Binary, &[1; 4]));
    assert!(!fits(&MediaShape::binary(Some(4)), Binary, &[1; 5]));
    assert!(!fits(&MediaShape::binary(Some(4)), Text, b"text"));
    assert!(fits(&MediaShape::binary(None), Binary, b""));
    for in_binary in [true, false] {
        let json = JsonShape {
            audio: "a".to_owned(),
            in_binary,
            ..JsonShape::default()
        };
        let json = MediaShape::json(json).unwrap();
        assert!(fits(&json, Text, br#"{"a":"AAAA"}"#));
        assert_eq!(fits(&json, Binary, br#"{"a":"AAAA"}"#), in_binary);
        assert!(!fits(&json, Binary, b"{\"a\":\"AAAA\",\"b\":\"\xff\"}"));
        assert!(!fits(&json, MessageKind::Ping, br#"{"a":"AAAA"}"#));
    }
}
