//! What the tests share: bytes of a socket, cut and read.

use proptest::prelude::prop;
use trunkline_core::websocket::{MessageKind, Parser, Role, WebSocketError};

pub(crate) const LIMIT: usize = 100_000;

pub(crate) type Messages = Vec<(MessageKind, Vec<u8>)>;

/// All messages of the bytes, and how reading them ended.
pub(crate) fn read_pieces<'a>(
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

pub(crate) fn read(role: Role, bytes: &[u8]) -> (Messages, Option<WebSocketError>) {
    read_pieces(role, LIMIT, [bytes])
}

/// The bytes in pieces.
pub(crate) fn cut<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.push(bytes.len());
    cuts.sort_unstable();
    let mut start = 0;
    cuts.into_iter()
        .map(|end| &bytes[std::mem::replace(&mut start, end)..end])
        .collect()
}
