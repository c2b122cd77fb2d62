//! Python's shapes and templates as the core's.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString, PyTuple};
use trunkline_core::media::{
    Counter, Expected, JsonShape, MarkTemplate, MediaShape, MediaTemplate, Rule,
};

use crate::errors::raised;
use crate::number::Integer;

/// 1 GiB.
const LARGEST: usize = 1 << 30;

pub(super) fn shape(object: &Bound<'_, PyAny>) -> PyResult<MediaShape> {
    let Some(audio) = member(object, "audio")?.extract()? else {
        return Ok(MediaShape::binary(bytes(object, "frame_bytes")?));
    };
    let mut members = Vec::new();
    for member in member(object, "expected")?.try_iter()? {
        members.push(expected(&member?)?);
    }
    MediaShape::json(JsonShape {
        audio,
        expected: members,
        response_id: member(object, "response_id")?.extract()?,
        item_id: member(object, "item_id")?.extract()?,
        counter: counter(&member(object, "counter")?)?,
        order: counter(&member(object, "order")?)?,
        is_closed: member(object, "is_closed")?.extract()?,
        in_binary: member(object, "in_binary")?.extract()?,
        max_audio: bytes(object, "max_audio_bytes")?,
    })
    .map_err(raised)
}

pub(super) fn template(object: &Bound<'_, PyAny>) -> PyResult<MediaTemplate> {
    let frame_bytes = bytes(object, "frame_bytes")?;
    match member(object, "head")?.extract()? {
        Some(head) => {
            let tail = member(object, "tail")?.extract()?;
            MediaTemplate::text(head, tail, frame_bytes)
        }
        None => MediaTemplate::binary(frame_bytes),
    }
    .map_err(raised)
}

pub(super) fn mark(object: &Bound<'_, PyAny>) -> PyResult<MarkTemplate> {
    Ok(MarkTemplate {
        head: member(object, "head")?.extract()?,
        tail: member(object, "tail")?.extract()?,
    })
}

/// A member of a shape or a template.
fn member<'py>(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    object.getattr_opt(name)?.ok_or_else(|| {
        let kind = object.get_type();
        PyTypeError::new_err(format!(
            "expected what wire.media has, with {name}, got {kind}"
        ))
    })
}

/// A member that is a number of bytes, or None.
fn bytes(object: &Bound<'_, PyAny>, name: &'static str) -> PyResult<Option<usize>> {
    let number: Option<Integer> = member(object, name)?.extract()?;
    number
        .map(|number| number.within(name, 1..=LARGEST))
        .transpose()
}

fn expected(object: &Bound<'_, PyAny>) -> PyResult<Expected> {
    Ok(Expected {
        path: member(object, "path")?.extract()?,
        rule: rule(&member(object, "says")?)?,
        is_optional: member(object, "is_optional")?.extract()?,
    })
}

fn rule(says: &Bound<'_, PyAny>) -> PyResult<Rule> {
    if says.is_instance_of::<PyString>() {
        return Ok(Rule::OneOf(vec![says.extract()?]));
    }
    if says.is_instance_of::<PyTuple>() {
        return Ok(Rule::OneOf(says.extract()?));
    }
    if says.is_exact_instance_of::<PyInt>() {
        return Ok(Rule::Number(says.str()?.extract()?));
    }
    let kind = says.getattr_opt("value")?;
    match kind
        .map(|kind| kind.extract::<String>())
        .transpose()?
        .as_deref()
    {
        Some("digits") => Ok(Rule::Digits),
        Some("text") => Ok(Rule::Text),
        _ => Err(PyTypeError::new_err(format!(
            "says must be a string, a tuple of strings, a whole number or Anything, got {}",
            says.repr()?
        ))),
    }
}

fn counter(object: &Bound<'_, PyAny>) -> PyResult<Option<Counter>> {
    if object.is_none() {
        return Ok(None);
    }
    Ok(Some(Counter {
        path: member(object, "path")?.extract()?,
        is_text: member(object, "is_text")?.extract()?,
    }))
}
