//! The course of a creation, a check or a reset, and the error that may end it.

use std::{error::Error, fmt, future::pending, time::Duration};

use crate::agenda::sleep;

/// A step of a backend, of which each object has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Create,
    Check,
    Reset,
}

/// The course of one creation, check or reset.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// It ends after this time, or never.
    pub(crate) after: Option<Duration>,
    end: StepEnd,
}

#[derive(Clone, Copy, Debug)]
enum StepEnd {
    Ok,
    Fails(ErrorKind),
    Panics,
}

/// Why a step has not gone well.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    Error(BackendError),
    /// The message of a panic.
    Panic(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// It concerns one creation.
    Single,
    /// The backend is down for a while.
    Transient,
    /// Every caller would meet it.
    Fatal,
}

impl Kind {
    /// The step as its error names it, before the number of the object.
    const fn name(self) -> &'static str {
        match self {
            Self::Create => "creation",
            Self::Check => "the check of object",
            Self::Reset => "the reset of object",
        }
    }
}

impl Step {
    pub(crate) const OK: Self = Self { after: Some(Duration::ZERO), end: StepEnd::Ok };
    pub(crate) const FAILS: Self = Self { end: StepEnd::Fails(ErrorKind::Single), ..Self::OK };
    /// The backend is down.
    pub(crate) const DOWN: Self = Self { end: StepEnd::Fails(ErrorKind::Transient), ..Self::OK };
    pub(crate) const FATAL: Self = Self { end: StepEnd::Fails(ErrorKind::Fatal), ..Self::OK };
    pub(crate) const PANICS: Self = Self { end: StepEnd::Panics, ..Self::OK };
    pub(crate) const HANGS: Self = Self { after: None, end: StepEnd::Ok };

    pub(crate) const fn after(self, time: Duration) -> Self {
        Self { after: Some(time), ..self }
    }

    /// Waits for its end.
    pub(crate) async fn wait(self) {
        match self.after {
            Some(Duration::ZERO) => {}
            Some(time) => sleep(time).await,
            None => pending().await,
        }
    }

    /// How it ends, for the object with this number.
    pub(crate) fn end(self, kind: Kind, number: u32) -> Result<(), Failure> {
        let name = kind.name();
        match self.end {
            StepEnd::Ok => Ok(()),
            StepEnd::Fails(kind) => {
                Err(Failure::Error(BackendError { text: format!("{name} {number} is refused"), kind }))
            }
            StepEnd::Panics => Err(Failure::Panic(format!("{name} {number} panics"))),
        }
    }
}

impl Failure {
    /// The error, or the panic.
    pub(crate) fn raise(self) -> BackendError {
        match self {
            Self::Error(error) => error,
            Self::Panic(message) => panic!("{message}"),
        }
    }
}

/// The error of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendError {
    pub(crate) text: String,
    pub(crate) kind: ErrorKind,
}

impl BackendError {
    /// Returns whether another attempt may succeed: the backend is down for a while.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.kind == ErrorKind::Transient
    }

    /// Returns whether every caller would meet the error, such as a wrong password.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.kind == ErrorKind::Fatal
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for BackendError {}
