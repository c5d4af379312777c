//! Errors and notices of PostgreSQL.

use pgwire::messages::response::{ErrorResponse, NoticeResponse};

/// An error with its SQLSTATE.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SqlError {
    pub(super) code: String,
    pub(super) message: String,
    /// Whether it ends the connection.
    pub(super) fatal: bool,
}

impl SqlError {
    pub(super) fn new(code: &str, message: impl Into<String>) -> Self {
        SqlError { code: code.to_owned(), message: message.into(), fatal: false }
    }

    pub(super) fn fatal(code: &str, message: impl Into<String>) -> Self {
        SqlError { fatal: true, ..Self::new(code, message) }
    }

    /// The error for a statement that the tables do not understand.
    pub(super) fn syntax(near: &str) -> Self {
        let message = format!("syntax error at or near \"{near}\" (the test kit's tables know little SQL)");
        Self::new("42601", message)
    }

    pub(super) fn canceled() -> Self {
        Self::new("57014", "canceling statement due to user request")
    }

    pub(super) fn response(&self) -> ErrorResponse {
        let severity = if self.fatal { "FATAL" } else { "ERROR" };
        ErrorResponse::new(fields(severity, &self.code, &self.message))
    }
}

/// Checks that a code is a SQLSTATE.
#[track_caller]
pub(super) fn check(code: &str) {
    let fits = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
    assert!(code.len() == 5 && code.bytes().all(fits), "no SQLSTATE: {code:?}");
}

pub(super) fn notice(message: &str) -> NoticeResponse {
    NoticeResponse::new(fields("NOTICE", "00000", message))
}

fn fields(severity: &str, code: &str, message: &str) -> Vec<(u8, String)> {
    let fields = [(b'S', severity), (b'V', severity), (b'C', code), (b'M', message)];
    fields.map(|(field, text)| (field, text.to_owned())).to_vec()
}
