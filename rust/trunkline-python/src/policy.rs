//! What a buffer does when it is full, or empty, by its name.

use std::time::Duration;

use pyo3::PyResult;
use trunkline_core::{Overflow, Underrun};

use crate::errors::InvalidConfig;
use crate::number::Integer;

/// The longest that a full buffer makes its writer wait, in milliseconds: ten seconds.
const LONGEST_BLOCK_MS: u64 = 10_000;

pub(crate) fn overflow(name: &str, block_ms: Integer) -> PyResult<Overflow> {
    let block_ms = block_ms.within("block_ms", 0..=LONGEST_BLOCK_MS)?;
    match name {
        "drop_newest" => Ok(Overflow::DropNewest),
        "drop_oldest" => Ok(Overflow::DropOldest),
        "block" => Ok(Overflow::Block(Duration::from_millis(block_ms))),
        _ => Err(unknown(
            "overflow",
            "drop_newest, drop_oldest or block",
            name,
        )),
    }
}

pub(crate) fn underrun(name: &str) -> PyResult<Underrun> {
    match name {
        "none" => Ok(Underrun::None),
        "silence" => Ok(Underrun::Silence),
        "hold" => Ok(Underrun::Hold),
        _ => Err(unknown("underrun", "none, silence or hold", name)),
    }
}

fn unknown(setting: &'static str, names: &str, got: &str) -> pyo3::PyErr {
    InvalidConfig::new_err((setting, format!("must be {names}, got {got:?}")))
}
