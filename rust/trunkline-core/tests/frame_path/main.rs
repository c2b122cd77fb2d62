//! Every entry point of the frame path, given anything: what comes back is a result or an error, never a panic, and however the bytes are
//! cut it is the same. `PROPTEST_CASES` says how often.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod links;
mod websocket;
mod wire;
