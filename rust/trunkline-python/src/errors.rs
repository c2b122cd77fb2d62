//! The core's errors as those of `trunkline.errors`.

use pyo3::PyErr;
use pyo3::exceptions::PyRuntimeError;
use trunkline_core::Error;

use crate::exclusive::Refused;

// Each is looked up when it is first raised; `trunkline.errors` imports nothing of this package.
pyo3::import_exception!(trunkline.errors, AudioError);
pyo3::import_exception!(trunkline.errors, InvalidAudioData);
pyo3::import_exception!(trunkline.errors, InvalidConfig);
pyo3::import_exception!(trunkline.errors, UnsupportedEncoding);
pyo3::import_exception!(trunkline.errors, UnsupportedSampleRate);

pub(crate) fn raised(error: Error) -> PyErr {
    match error {
        Error::UnsupportedEncoding(name) => UnsupportedEncoding::new_err(name),
        Error::UnsupportedSampleRate(rate) => UnsupportedSampleRate::new_err(rate),
        Error::UnsupportedChannels(_) => AudioError::new_err(error.to_string()),
        Error::InvalidSetting { name, reason } => InvalidConfig::new_err((name, reason)),
        _ => invalid(error.to_string()),
    }
}

pub(crate) fn invalid(reason: String) -> PyErr {
    InvalidAudioData::new_err(reason)
}

impl From<Refused> for PyErr {
    fn from(refused: Refused) -> Self {
        PyRuntimeError::new_err(refused.to_string())
    }
}

/// Said to whoever comes while another thread is inside.
pub(crate) fn busy(what: &'static str) -> PyErr {
    Refused::Busy { what }.into()
}
