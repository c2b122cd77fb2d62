//! The WebSocket codec.

use std::sync::{Mutex, MutexGuard};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};
use trunkline_core::websocket::{
    InvalidControl, MessageKind, NO_STATUS, Parser, Role, WebSocketError, Writer, close_status,
};

use crate::buffer;
use crate::errors::busy;
use crate::number::Integer;

pyo3::import_exception!(trunkline.errors, LocalProtocolError);
pyo3::import_exception!(trunkline.errors, MessageTooLarge);
pyo3::import_exception!(trunkline.errors, RemoteProtocolError);

/// Bytes from which reading takes longer (tens of microseconds) than letting other threads run meanwhile.
pub(crate) const WORTH_DETACHING: usize = 16 * 1024;

/// 1 GiB.
const LARGEST: usize = 1 << 30;

/// Reads and writes the frames of one end of an open WebSocket (RFC 6455), without I/O; the handshake is not part of it.
///
/// Text is `str`, binary is `bytes`. What else may come is a `Ping`, which you must answer by `pong(payload)`, a `Pong`, a `Close`, which
/// you must answer by `close(code)` unless you have closed before, or a `Failed`, after which you must send `close(failed.code)` and end
/// the connection. After a `Close` or a `Failed` nothing more is read.
///
/// An `Uplink` or a `Downlink` that is made for a codec reads through it: then feed the link, not the codec. Reading and writing may
/// be done by different threads.
///
/// Args:
///     is_client: Whether this end is the client, which masks what it sends.
///     max_size: Bytes that a received message may have, all its fragments together.
///
/// Raises:
///     InvalidConfig: `max_size` is not from 1 byte to 1 GiB.
#[pyclass(frozen, module = "trunkline.transport.websocket")]
pub(crate) struct WebSocketCodec {
    parser: Mutex<Parser>,
    writer: Mutex<Writer>,
    #[pyo3(get)]
    is_client: bool,
}

impl WebSocketCodec {
    pub(crate) fn parser(&self) -> PyResult<MutexGuard<'_, Parser>> {
        self.parser.try_lock().map_err(|_| busy("WebSocketCodec"))
    }

    fn write<'py>(
        &self,
        py: Python<'py>,
        write: impl FnOnce(&mut Writer, &mut Vec<u8>) -> Result<(), InvalidControl>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let mut writer = self.writer.try_lock().map_err(|_| busy("WebSocketCodec"))?;
        let mut out = Vec::new();
        write(&mut writer, &mut out)
            .map_err(|error| LocalProtocolError::new_err(error.to_string()))?;
        Ok(PyBytes::new(py, &out))
    }
}

#[pymethods]
impl WebSocketCodec {
    #[new]
    #[pyo3(signature = (*, is_client, max_size))]
    fn new(py: Python<'_>, is_client: bool, max_size: Integer) -> PyResult<Self> {
        let max_size = max_size.within("max_size", 1..=LARGEST)?;
        let role = if is_client {
            Role::Client
        } else {
            Role::Server
        };
        Ok(Self {
            parser: Mutex::new(Parser::new(role, max_size)),
            writer: Mutex::new(writer(py, is_client)?),
            is_client,
        })
    }

    /// Take what was read from the socket, however it is cut, and return the messages that are complete now, in order.
    ///
    /// `feed(b"")` returns what is left where a link read before. After a `Failed` it is returned again each time.
    ///
    /// Returns:
    ///     `str`, `bytes`, `Ping`, `Pong`, and as the last one `Close` or `Failed`.
    ///
    /// Raises:
    ///     RuntimeError: Another thread is reading.
    #[pyo3(signature = (data, /))]
    fn feed<'py>(&self, py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyList>> {
        let mut parser = self.parser()?;
        parser.feed(data);
        let messages = PyList::empty(py);
        loop {
            let read = if data.len() < WORTH_DETACHING {
                parser.next_message()
            } else {
                let parser = &mut *parser;
                py.detach(|| parser.next_message())
            };
            let Some(message) = message(py, read, &parser)? else {
                return Ok(messages);
            };
            messages.append(message)?;
            if parser.has_ended() {
                return Ok(messages);
            }
        }
    }

    /// Whether nothing more will be read, because a `Close` or a `Failed` came.
    ///
    /// Raises:
    ///     RuntimeError: Another thread is reading.
    #[getter]
    fn has_ended(&self) -> PyResult<bool> {
        Ok(self.parser()?.has_ended())
    }

    /// Bytes that a received message may have.
    ///
    /// Raises:
    ///     RuntimeError: Another thread is reading.
    #[getter]
    fn max_size(&self) -> PyResult<usize> {
        Ok(self.parser()?.max_size())
    }

    /// The frame of a text message.
    ///
    /// Raises:
    ///     LocalProtocolError: The text is not Unicode: it has half a surrogate pair.
    ///     RuntimeError: Another thread is writing.
    #[pyo3(signature = (message, /))]
    fn text<'py>(&self, message: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyBytes>> {
        let text = unicode(message)?;
        self.write(message.py(), |writer, out| {
            writer.message(MessageKind::Text, text.as_bytes(), out);
            Ok(())
        })
    }

    /// The frame of a binary message.
    ///
    /// Raises:
    ///     RuntimeError: Another thread is writing.
    #[pyo3(signature = (message, /))]
    fn binary<'py>(&self, message: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = buffer::audio(message, 1)?;
        self.write(message.py(), |writer, out| {
            writer.message(MessageKind::Binary, bytes.as_bytes(), out);
            Ok(())
        })
    }

    /// The frame of a ping, which the other side answers by a pong with the same payload.
    ///
    /// Raises:
    ///     LocalProtocolError: The payload is longer than 125 bytes.
    ///     RuntimeError: Another thread is writing.
    #[pyo3(signature = (payload = b"".as_slice(), /))]
    fn ping<'py>(&self, py: Python<'py>, payload: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        self.write(py, |writer, out| {
            writer.control(MessageKind::Ping, payload, out)
        })
    }

    /// The frame of a pong.
    ///
    /// Raises:
    ///     LocalProtocolError: The payload is longer than 125 bytes.
    ///     RuntimeError: Another thread is writing.
    #[pyo3(signature = (payload = b"".as_slice(), /))]
    fn pong<'py>(&self, py: Python<'py>, payload: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        self.write(py, |writer, out| {
            writer.control(MessageKind::Pong, payload, out)
        })
    }

    /// The close frame. Nothing may be sent after it.
    ///
    /// Args:
    ///     code: 1000 to 1003, 1007 to 1014 or 3000 to 4999; or 1005 for a frame without a code, which answers one.
    ///     reason: Text of 123 bytes at most; None is none.
    ///
    /// Raises:
    ///     LocalProtocolError: A close frame cannot carry this code, or the reason is too long or not Unicode.
    ///     RuntimeError: Another thread is writing.
    #[pyo3(signature = (code = Integer::from(1000), reason = None))]
    fn close<'py>(
        &self,
        py: Python<'py>,
        code: Integer,
        reason: Option<&Bound<'py, PyString>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let code = code.narrow().map_err(|code| {
            LocalProtocolError::new_err(format!("a close frame cannot carry the code {code}"))
        })?;
        let reason = reason.map(unicode).transpose()?.unwrap_or_default();
        self.write(py, |writer, out| writer.close(code, reason, out))
    }
}

fn unicode<'a>(text: &'a Bound<'_, PyString>) -> PyResult<&'a str> {
    text.to_str()
        .map_err(|_| LocalProtocolError::new_err("text must be Unicode, got half a surrogate pair"))
}

/// A writer whose masking keys come from the system's randomness.
pub(crate) fn writer(py: Python<'_>, is_client: bool) -> PyResult<Writer> {
    if !is_client {
        return Ok(Writer::server());
    }
    let os = py.import(intern!(py, "os"))?;
    let seed = os.call_method1(intern!(py, "urandom"), (32,))?;
    Ok(Writer::client(seed.extract()?))
}

/// What a parser has just read, as Python sees it.
pub(crate) fn message<'py>(
    py: Python<'py>,
    read: Result<Option<MessageKind>, WebSocketError>,
    parser: &Parser,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let kind = match read {
        Ok(Some(kind)) => kind,
        Ok(None) => return Ok(None),
        Err(error) => return Ok(Some(Bound::new(py, Failed(error))?.into_any())),
    };
    let payload = parser.payload();
    let bytes = || PyBytes::new(py, payload);
    Ok(Some(match kind {
        MessageKind::Text => PyString::new(py, &String::from_utf8_lossy(payload)).into_any(),
        MessageKind::Binary => bytes().into_any(),
        MessageKind::Ping => {
            let payload = bytes().unbind();
            Bound::new(py, Ping { payload })?.into_any()
        }
        MessageKind::Pong => {
            let payload = bytes().unbind();
            Bound::new(py, Pong { payload })?.into_any()
        }
        MessageKind::Close => {
            let (code, reason) = close_status(payload);
            let reason = reason.to_owned();
            Bound::new(py, Close { code, reason })?.into_any()
        }
    }))
}

/// The other side asks whether this one is there; to be answered by a pong with the same payload.
#[pyclass(frozen, get_all, module = "trunkline.transport.websocket")]
pub(crate) struct Ping {
    /// Up to 125 bytes.
    payload: Py<PyBytes>,
}

#[pymethods]
impl Ping {
    #[classattr]
    fn __match_args__() -> (&'static str,) {
        ("payload",)
    }
}

/// The other side answers a ping, or says by itself that it is there.
#[pyclass(frozen, get_all, module = "trunkline.transport.websocket")]
pub(crate) struct Pong {
    /// That of the ping, if it answers one.
    payload: Py<PyBytes>,
}

#[pymethods]
impl Pong {
    #[classattr]
    fn __match_args__() -> (&'static str,) {
        ("payload",)
    }
}

/// The other side closes, or answers that this one does.
#[pyclass(frozen, get_all, module = "trunkline.transport.websocket")]
pub(crate) struct Close {
    /// The code of its close frame; 1005 if there is none in it.
    code: u16,
    /// The other side's own words, "" if it says nothing.
    reason: String,
}

#[pymethods]
impl Close {
    #[classattr]
    fn __match_args__() -> (&'static str, &'static str) {
        ("code", "reason")
    }

    /// Whether the close frame carries a code.
    #[getter]
    const fn has_code(&self) -> bool {
        self.code != NO_STATUS
    }
}

/// The other side broke the protocol, or a limit, and is to be told `code`.
#[pyclass(frozen, module = "trunkline.transport.websocket")]
pub(crate) struct Failed(WebSocketError);

#[pymethods]
impl Failed {
    #[classattr]
    fn __match_args__() -> (&'static str, &'static str) {
        ("code", "reason")
    }

    /// 1002 (protocol), 1007 (text that is not UTF-8) or 1009 (too large).
    #[getter]
    const fn code(&self) -> u16 {
        self.0.close_code()
    }

    /// What is wrong, in a few words.
    #[getter]
    fn reason(&self) -> String {
        self.0.to_string()
    }

    /// The error to raise: `MessageTooLarge` or `RemoteProtocolError`.
    #[getter]
    fn error(&self) -> PyErr {
        match self.0 {
            WebSocketError::TooLarge { limit } => MessageTooLarge::new_err(limit),
            error => RemoteProtocolError::new_err(("websocket", error.to_string())),
        }
    }
}
