//! WebSocket frames and JSON.

use proptest::prelude::*;
use trunkline_core::scan::{Found, Paths};
use trunkline_core::websocket::MessageKind::{Binary, Close, Text};
use trunkline_core::websocket::{Role, Writer, mask, write_frame};

use crate::wire::{LIMIT, cut, read, read_pieces};

/// Frames that are likely to be right, as one side sends them.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        4 => prop::sample::select(vec![0x81_u8, 0x82, 0x01, 0x02, 0x00, 0x80]),
        1 => prop::sample::select(vec![0x88_u8, 0x89, 0x8A]),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        3 => ".{0,20}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ];
    let one = (
        first,
        payload,
        prop::option::weighted(0.8, any::<[u8; 4]>()),
    );
    prop::collection::vec(one, 0..12).prop_map(|frames| {
        let mut bytes = Vec::new();
        for (first, payload, key) in frames {
            let start = bytes.len();
            write_frame(Binary, &payload, key, &mut bytes);
            bytes[start] = first;
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_of_the_bytes_gives_the_same_messages(
        bytes in prop_oneof![frames(), prop::collection::vec(any::<u8>(), 0..300)],
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        limit in prop_oneof![0_usize..50, Just(LIMIT)],
        is_client in any::<bool>(),
    ) {
        let role = if is_client { Role::Client } else { Role::Server };
        let whole = read_pieces(role, limit, [&bytes[..]]);
        prop_assert_eq!(&read_pieces(role, limit, cut(&bytes, &cuts)), &whole);
        prop_assert_eq!(&read_pieces(role, limit, bytes.chunks(1)), &whole);
        for (kind, payload) in whole.0 {
            prop_assert!(payload.len() <= limit || !matches!(kind, Text | Binary));
            prop_assert!(kind != Text || str::from_utf8(&payload).is_ok());
        }
    }

    #[test]
    fn what_is_written_is_read(
        messages in prop::collection::vec((any::<bool>(), ".{0,300}"), 0..10),
        seed in any::<[u8; 32]>(),
        is_client in any::<bool>(),
    ) {
        let (mut writer, role) = if is_client {
            (Writer::client(seed), Role::Server)
        } else {
            (Writer::server(), Role::Client)
        };
        let mut out = Vec::new();
        let mut expected = Vec::new();
        for (is_text, message) in messages {
            let kind = if is_text { Text } else { Binary };
            writer.message(kind, message.as_bytes(), &mut out);
            expected.push((kind, message.into_bytes()));
        }
        writer.close(1000, "over", &mut out).unwrap();
        expected.push((Close, b"\x03\xe8over".to_vec()));
        prop_assert_eq!(read(role, &out), (expected, None));
    }

    #[test]
    fn a_mask_is_taken_off_by_itself(mut bytes in prop::collection::vec(any::<u8>(), 0..50), key in any::<[u8; 4]>()) {
        let plain = bytes.clone();
        mask(&mut bytes, key);
        for (index, (masked, plain)) in bytes.iter().zip(&plain).enumerate() {
            prop_assert_eq!(*masked, plain ^ key[index % 4]);
        }
        mask(&mut bytes, key);
        prop_assert_eq!(bytes, plain);
    }

    #[test]
    fn paths_are_read_from_anything(paths in prop::collection::vec("[a-c.\\[\\]0-9]{0,8}|.{0,8}", 0..6), text in "[\\[\\]{}:,\"a-c0-9]{0,30}") {
        if let Ok(paths) = Paths::new(&paths, true) {
            let _ = paths.find(text.as_bytes(), &mut Found::default());
        }
    }
}
