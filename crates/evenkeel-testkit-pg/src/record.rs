//! `Statement`: a recorded statement, and its outcome.

use std::time::Duration;

/// A statement, as the server recorded it.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, net::MemNet};
/// use evenkeel_testkit_pg::{StatementOutcome, Server};
///
/// World::run(async |_| {
///     let server = Server::mem(&MemNet::new(), "db.test").unwrap();
///     let client = server.client().await.unwrap();
///     client.batch_execute("begin; select pg_sleep(0.5); commit").await.unwrap();
///     let commit = &server.statements()[2];
///     assert_eq!((commit.at.as_millis(), &*commit.sql), (500, "commit"));
///     assert_eq!(commit.outcome, StatementOutcome::Done("COMMIT".to_owned()));
/// });
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Statement {
    /// When it was executed: the time since the start of the server.
    pub at: Duration,
    /// The process id of its connection, as `pg_backend_pid()` returns it.
    pub connection: i32,
    /// Its text, without the semicolon.
    pub sql: String,
    /// Its parameters as text; in hexadecimal digits, like `bytea`, if their type has no text form here.
    pub parameters: Vec<Option<String>>,
    /// Its outcome.
    pub outcome: StatementOutcome,
}

/// The outcome of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatementOutcome {
    /// It has not ended, or its portal has more rows.
    Running,
    /// It succeeded with this command tag, for example `SELECT 2`.
    Done(String),
    /// It failed with this SQLSTATE.
    Failed(String),
    /// Its connection, or its portal, ended first.
    Cut,
}
