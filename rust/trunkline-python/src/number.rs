//! Numbers that Python passes, of any size.

use std::fmt::Display;
use std::ops::RangeInclusive;

use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::PyInt;

use crate::errors::InvalidConfig;

/// An integer; one that is too large for 64 bits is as good as the largest that is not.
#[derive(Clone, Copy)]
pub(crate) struct Integer(i64);

impl Integer {
    /// As a narrower type, if it can be; what it was otherwise.
    pub(crate) fn narrow<T: TryFrom<i64>>(self) -> Result<T, i64> {
        T::try_from(self.0).map_err(|_| self.0)
    }

    /// As a setting that has limits.
    pub(crate) fn within<T>(self, name: &'static str, limits: RangeInclusive<T>) -> PyResult<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let narrowed = self.narrow().ok().filter(|number| limits.contains(number));
        narrowed.ok_or_else(|| {
            let (least, most) = limits.into_inner();
            let reason = format!("must be from {least} to {most}, got {}", self.0);
            InvalidConfig::new_err((name, reason))
        })
    }
}

impl From<i64> for Integer {
    fn from(number: i64) -> Self {
        Self(number)
    }
}

impl<'py> FromPyObject<'_, 'py> for Integer {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let error = match object.extract() {
            Ok(number) => return Ok(Self(number)),
            Err(error) => error,
        };
        if !error.is_instance_of::<PyOverflowError>(object.py()) {
            return Err(error);
        }
        Ok(Self(if object.lt(0)? { i64::MIN } else { i64::MAX }))
    }
}

/// An integer of which only the lower bits count, as many as the narrow type has.
pub(crate) struct Wrapping<T>(pub(crate) T);

impl<'py, T> FromPyObject<'_, 'py> for Wrapping<T>
where
    T: TryFrom<i64>,
{
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let number = object.cast::<PyInt>()?;
        let mask = (1_i64 << (8 * size_of::<T>())) - 1;
        let lower: i64 = number.bitand(mask)?.extract()?;
        T::try_from(lower)
            .map(Self)
            .map_err(|_| PyOverflowError::new_err(lower))
    }
}
