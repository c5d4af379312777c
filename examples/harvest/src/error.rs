//! The errors of a call, their classification for retries, and the errors that end the run.

use std::{error::Error, fmt, time::Duration};

use evenkeel::{retry::Verdict, task::BoxError};
use reqwest::StatusCode;

use crate::transport::TransportError;

/// The error of one attempt to read a document.
#[derive(Debug)]
pub(crate) enum CallError {
    /// There was no complete answer.
    Transport(TransportError),
    /// The status is not a success.
    Status { status: StatusCode, limit: Limit },
    /// The content type of the answer is not JSON.
    ContentType(Option<String>),
    /// The answer is compressed, which was not requested.
    Encoding(String),
    /// The answer is not the expected document.
    Document(String),
    /// The answer is larger than the maximum.
    TooLarge { limit: usize },
}

/// A limit of the API, as the headers of a response describe it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limit {
    /// The time to wait.
    pub(crate) pause: Option<Duration>,
    /// No call remains until the limit is reset.
    pub(crate) exhausted: bool,
}

impl CallError {
    /// Classifies the error for the retry policy.
    pub(crate) fn verdict(&self) -> Verdict {
        match self {
            Self::Transport(error) if error.is_permanent() => Verdict::Permanent,
            Self::Transport(_) => Verdict::Retry,
            // The caller has waited for the limit, up to its maximum.
            Self::Status { .. } if self.pause().is_some() => Verdict::Permanent,
            Self::Status { status, limit: Limit { pause: Some(pause), .. } } if is_transient(*status) => {
                Verdict::RetryAfter(*pause)
            }
            Self::Status { status, limit } => (is_transient(*status) || is_limit(*status, limit)).into(),
            // A complete answer would be the same again.
            Self::ContentType(_) | Self::Encoding(_) | Self::Document(_) | Self::TooLarge { .. } => {
                Verdict::Permanent
            }
        }
    }

    /// Returns the pause that a limit of the API asks for. Such an answer is not a failed attempt.
    pub(crate) fn pause(&self) -> Option<Duration> {
        match self {
            Self::Status { status, limit } if is_limit(*status, limit) => limit.pause,
            _ => None,
        }
    }

    /// Returns the label under which retries are counted.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Transport(error) => error.label().into(),
            Self::Status { status, .. } => status.to_string(),
            Self::ContentType(_) | Self::Encoding(_) | Self::Document(_) | Self::TooLarge { .. } => {
                "not the document".into()
            }
        }
    }
}

/// Whether the status may pass, by RFC 9110 and RFC 6585: too early, too many, or a fault of the server. From 520 on they
/// are the codes of proxies that do not reach the server behind them, and of an overloaded server (529).
fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504 | 520..=524 | 529)
}

/// Whether the status means too many calls. Some APIs use 403 for it, with headers that no forbidden document has.
fn is_limit(status: StatusCode, limit: &Limit) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::FORBIDDEN && (limit.pause.is_some() || limit.exhausted)
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(error) => error.fmt(f),
            Self::Status { status, .. } => match self.pause() {
                Some(pause) => write!(f, "{status}, come back in {:.0} s", pause.as_secs_f64()),
                None => write!(f, "{status}"),
            },
            Self::ContentType(Some(found)) => write!(f, "the content type is {found}, not JSON"),
            Self::ContentType(None) => f.write_str("it has no content type"),
            Self::Encoding(found) => write!(f, "the content encoding is {found}, which was not asked for"),
            Self::Document(reason) => f.write_str(reason),
            Self::TooLarge { limit } => write!(f, "larger than {} MiB", limit >> 20),
        }
    }
}

impl Error for CallError {}

/// An error that ends the run: a line for the user, and the exit code.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fatal {
    /// The request of the user cannot be fulfilled.
    Input(String),
    /// Something failed during the run.
    Broken(String),
}

impl Fatal {
    /// Returns the fatal error in this box, or wraps another error.
    pub(crate) fn from_error(error: BoxError) -> Self {
        error.downcast().map_or_else(|other| Self::Broken(other.to_string()), |fatal| *fatal)
    }

    /// Returns the exit code of the program.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Input(_) => 2,
            Self::Broken(_) => 1,
        }
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(line) | Self::Broken(line) => f.write_str(line),
        }
    }
}

impl Error for Fatal {}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(3);

    fn status(code: u16, pause: Option<Duration>, exhausted: bool) -> CallError {
        CallError::Status { status: StatusCode::from_u16(code).unwrap(), limit: Limit { pause, exhausted } }
    }

    #[test]
    fn busy_and_broken_servers_are_asked_again() {
        for code in [408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529] {
            assert_eq!(status(code, None, false).verdict(), Verdict::Retry, "{code}");
        }
        for code in [301, 400, 401, 403, 404, 409, 410, 501, 505, 519, 525, 526, 530] {
            assert_eq!(status(code, None, false).verdict(), Verdict::Permanent, "{code}");
        }
    }

    #[test]
    fn a_wait_is_for_those_that_are_asked_again() {
        for code in [408, 425, 503, 520, 529] {
            assert_eq!(status(code, Some(PAUSE), false).verdict(), Verdict::RetryAfter(PAUSE));
        }
        assert_eq!(status(404, Some(PAUSE), true).verdict(), Verdict::Permanent);
    }

    #[test]
    fn a_limit_is_waited_for_and_what_is_forbidden_is_not() {
        for code in [403, 429] {
            assert_eq!(status(code, Some(PAUSE), false).pause(), Some(PAUSE), "{code}");
            assert_eq!(status(code, Some(PAUSE), true).pause(), Some(PAUSE), "{code}");
            let unknown = status(code, None, true);
            assert_eq!((unknown.pause(), unknown.verdict()), (None, Verdict::Retry), "{code}");
        }
        for code in [404, 503] {
            assert_eq!(status(code, Some(PAUSE), true).pause(), None, "{code}");
        }
        assert_eq!(status(403, Some(PAUSE), true).to_string(), "403 Forbidden, come back in 3 s");
    }

    #[test]
    fn an_answer_that_is_complete_and_wrong_stays_wrong() {
        for error in [
            CallError::Document("it has no `items`".into()),
            CallError::Encoding("gzip".into()),
            CallError::ContentType(None),
            CallError::TooLarge { limit: 1 << 20 },
        ] {
            assert_eq!(error.verdict(), Verdict::Permanent, "{error}");
        }
    }

    #[test]
    fn a_fatal_error_survives_its_box() {
        let boxed: BoxError = Fatal::Input("no".into()).into();
        assert_eq!(Fatal::from_error(boxed).exit_code(), 2);
        assert_eq!(Fatal::from_error("other".into()).exit_code(), 1);
    }
}
