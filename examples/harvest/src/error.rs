//! Why a call failed, whether another attempt is worth it, and what ends the whole run.

use std::{error::Error, fmt, io, time::Duration};

use evenkeel::retry::Verdict;
use reqwest::StatusCode;

/// Why one attempt to read a document failed.
#[derive(Debug)]
pub(crate) enum CallError {
    /// No complete answer came.
    Transport(reqwest::Error),
    /// The server says no.
    Status { status: StatusCode, retry_after: Option<Duration> },
    /// The answer is not JSON by its own account.
    ContentType(Option<String>),
    /// The answer is not the JSON that it should be.
    Json(serde_json::Error),
    /// The answer is larger than any document of such an API.
    TooLarge { limit: usize },
}

impl CallError {
    /// What this error says about another attempt.
    pub(crate) fn verdict(&self) -> Verdict {
        match self {
            // The request cannot be sent, now or later: a scheme that is not HTTP, a redirect in a circle.
            Self::Transport(error) if error.is_builder() || error.is_redirect() => Verdict::Permanent,
            Self::Transport(_) => Verdict::Retry,
            Self::Status { retry_after: Some(wait), status } if is_transient(*status) => Verdict::RetryAfter(*wait),
            Self::Status { status, .. } => is_transient(*status).into(),
            // A complete answer will be the same again.
            Self::ContentType(_) | Self::Json(_) | Self::TooLarge { .. } => Verdict::Permanent,
        }
    }

    /// The few words under which retries are counted.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Transport(error) if error.is_connect() => "no connection".into(),
            Self::Transport(error) if error.is_timeout() => "timed out".into(),
            Self::Transport(_) => "connection lost".into(),
            Self::Status { status, .. } => status.to_string(),
            Self::ContentType(_) | Self::Json(_) | Self::TooLarge { .. } => "not JSON".into(),
        }
    }
}

/// RFC 9110 and RFC 6585: too early, too many, or a fault of the server that may pass.
fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // What reqwest itself says names layers of its own; the reason is at the root.
            Self::Transport(error) => write!(f, "{}: {}", self.label(), root(error)),
            Self::Status { status, .. } => write!(f, "{status}"),
            Self::ContentType(Some(found)) => write!(f, "the content type is {found}, not JSON"),
            Self::ContentType(None) => f.write_str("it has no content type"),
            Self::Json(error) => write!(f, "not valid JSON: {error}"),
            Self::TooLarge { limit } => write!(f, "larger than {} MiB", limit >> 20),
        }
    }
}

impl Error for CallError {}

fn root(error: &dyn Error) -> &dyn Error {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root
}

/// What ends the run: a line for the user, and the exit code.
#[derive(Debug)]
pub(crate) enum Fatal {
    /// What the user asked for cannot be done.
    Input(String),
    /// It could be done until something broke.
    Broken(String),
}

impl Fatal {
    pub(crate) const fn exit_code(&self) -> u8 {
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
