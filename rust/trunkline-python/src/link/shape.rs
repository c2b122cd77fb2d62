//! Python's shapes and templates as the core's.

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString, PyTuple};
use trunkline_core::media::{
    Counter, Expected, JsonShape, MarkTemplate, MediaShape, MediaTemplate, Rule,
};

use crate::errors::raised;

pub(super) fn shape(object: &Bound<'_, PyAny>) -> PyResult<MediaShape> {
    let py = object.py();
    let Some(audio) = object.getattr(intern!(py, "audio"))?.extract()? else {
        return Ok(MediaShape::binary(
            object.getattr(intern!(py, "frame_bytes"))?.extract()?,
        ));
    };
    let mut members = Vec::new();
    for member in object.getattr(intern!(py, "expected"))?.try_iter()? {
        members.push(expected(&member?)?);
    }
    MediaShape::json(JsonShape {
        audio,
        expected: members,
        response_id: object.getattr(intern!(py, "response_id"))?.extract()?,
        item_id: object.getattr(intern!(py, "item_id"))?.extract()?,
        counter: counter(&object.getattr(intern!(py, "counter"))?)?,
        order: counter(&object.getattr(intern!(py, "order"))?)?,
        is_closed: object.getattr(intern!(py, "is_closed"))?.extract()?,
        in_binary: object.getattr(intern!(py, "in_binary"))?.extract()?,
        max_audio: object.getattr(intern!(py, "max_audio_bytes"))?.extract()?,
    })
    .map_err(raised)
}

pub(super) fn template(object: &Bound<'_, PyAny>) -> PyResult<MediaTemplate> {
    let py = object.py();
    let frame_bytes = object.getattr(intern!(py, "frame_bytes"))?.extract()?;
    match object.getattr(intern!(py, "head"))?.extract()? {
        Some(head) => {
            let tail = object.getattr(intern!(py, "tail"))?.extract()?;
            MediaTemplate::text(head, tail, frame_bytes)
        }
        None => MediaTemplate::binary(frame_bytes),
    }
    .map_err(raised)
}

pub(super) fn mark(object: &Bound<'_, PyAny>) -> PyResult<MarkTemplate> {
    let py = object.py();
    Ok(MarkTemplate {
        head: object.getattr(intern!(py, "head"))?.extract()?,
        tail: object.getattr(intern!(py, "tail"))?.extract()?,
    })
}

fn expected(object: &Bound<'_, PyAny>) -> PyResult<Expected> {
    let py = object.py();
    Ok(Expected {
        path: object.getattr(intern!(py, "path"))?.extract()?,
        rule: rule(&object.getattr(intern!(py, "says"))?)?,
        is_optional: object.getattr(intern!(py, "is_optional"))?.extract()?,
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
    let kind = says.getattr_opt(intern!(says.py(), "value"))?;
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
    let py = object.py();
    Ok(Some(Counter {
        path: object.getattr(intern!(py, "path"))?.extract()?,
        is_text: object.getattr(intern!(py, "is_text"))?.extract()?,
    }))
}
