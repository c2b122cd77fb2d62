//! The extension module `trunkline._native._rust`: converts arguments, calls the core once, maps the error.

use pyo3::prelude::*;

/// The compiled half of `trunkline.audio`.
#[pymodule(gil_used = false)]
mod _rust {}
