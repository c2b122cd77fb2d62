//! What one thread at a time may use, and what becomes of a panic in it: an ordinary error, and an object that says why it is out of use.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, TryLockError};

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Another thread is at it.
    Busy { what: &'static str },
    /// It panicked.
    Panicked { what: &'static str, why: String },
    /// It panicked before, and is in no state to go on.
    Broken { what: &'static str },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy { what } => write!(f, "another thread is using this {what}"),
            Self::Panicked { what, why } => {
                write!(
                    f,
                    "the audio core failed in {what}, a bug of trunkline: {why}"
                )
            }
            Self::Broken { what } => write!(
                f,
                "this {what} cannot be used any more: the audio core failed in it before"
            ),
        }
    }
}

/// A value that one thread at a time may use; another that comes meanwhile is refused and does not wait.
pub(crate) struct Exclusive<T> {
    what: &'static str,
    entered: AtomicBool,
    value: Mutex<T>,
}

impl<T> Exclusive<T> {
    pub(crate) fn new(what: &'static str, value: T) -> Self {
        Self {
            what,
            entered: AtomicBool::new(false),
            value: Mutex::new(value),
        }
    }

    /// Works with the value.
    pub(crate) fn enter<R, E>(&self, work: impl FnOnce(&mut T) -> Result<R, E>) -> Result<R, E>
    where
        E: From<Refused>,
    {
        let what = self.what;
        if self.entered.swap(true, Ordering::Acquire) {
            return Err(Refused::Busy { what }.into());
        }
        // Whoever has entered is alone, so this waits for no more than a glance of `look`.
        let done = caught(what, || match self.value.lock() {
            Ok(mut value) => work(&mut value),
            Err(_) => Err(Refused::Broken { what }.into()),
        });
        self.entered.store(false, Ordering::Release);
        done
    }

    /// Works with the value for a moment, or not at all if another thread does; never the reason that one is refused.
    pub(crate) fn look<R>(&self, work: impl FnOnce(&mut T) -> R) -> Result<Option<R>, Refused> {
        let what = self.what;
        caught(what, || match self.value.try_lock() {
            Ok(mut value) => Ok(Some(work(&mut value))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Poisoned(_)) => Err(Refused::Broken { what }),
        })
    }
}

/// Works, and makes an error of a panic: as one it would pass every `except Exception`, and end all calls of the process.
pub(crate) fn caught<R, E>(what: &'static str, work: impl FnOnce() -> Result<R, E>) -> Result<R, E>
where
    E: From<Refused>,
{
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let why = message(&*panic);
        Err(Refused::Panicked { what, why }.into())
    })
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no reason given")
        .to_owned()
}
