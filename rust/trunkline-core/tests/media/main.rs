//! Audio from one socket to another: what is taken, what is left to others, and when it goes.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod downlink;
mod settings;
mod shape;
mod uplink;
mod wire;
