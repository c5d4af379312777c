//! `ReplyStep` and `ReplyFault`: faults at the steps of a reply.

use super::error::{SqlError, check};

/// A step of the reply to a statement, at which [`Reply::fault`](crate::Reply::fault) places a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplyStep {
    /// The message by which a `COPY` begins: `CopyInResponse` or `CopyOutResponse`.
    CopyResponse,
    /// The next message after this number of rows; in a `COPY … FROM STDIN`, after this number of messages of the client.
    Rows(usize),
    /// The message `CommandComplete`: the statement has run.
    CommandComplete,
    /// The message `ReadyForQuery`: outside of a transaction the statement is committed, unless the fault is an error.
    ReadyForQuery,
}

/// A fault in place of a message of the server. The messages before it arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplyFault {
    /// The connection is closed.
    Eof,
    /// The connection is reset.
    Reset,
    /// The connection is closed after the first half of the message.
    Half,
    /// Nothing follows. Only a cancel request or the end of the server ends the statement; a statement that is ready
    /// cannot be canceled.
    Stall,
    /// An error with this SQLSTATE.
    Error(&'static str),
    /// An error with this SQLSTATE, which ends the connection.
    Fatal(&'static str),
    /// This number of notices in front of the message, which follows.
    Notices(usize),
}

/// The faults of a reply.
pub(super) type Faults = Vec<(ReplyStep, ReplyFault)>;

/// Returns the fault at a step.
pub(super) fn at(faults: &Faults, step: ReplyStep) -> Option<ReplyFault> {
    faults.iter().find(|(known, _)| *known == step).map(|(_, fault)| *fault)
}

impl ReplyFault {
    /// The error of the server, if the fault is one.
    pub(super) fn error(self) -> Option<SqlError> {
        match self {
            ReplyFault::Error(code) => Some(SqlError::new(code, "scripted error")),
            ReplyFault::Fatal(code) => Some(SqlError::fatal(code, "scripted error")),
            _ => None,
        }
    }

    #[track_caller]
    pub(super) fn check(self) {
        if let ReplyFault::Error(code) | ReplyFault::Fatal(code) = self {
            check(code);
        }
    }
}
