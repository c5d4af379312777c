//! What a server was asked.

use std::time::Duration;

/// One statement, as the server recorded it.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, net::MemNet};
/// use evenkeel_testkit_pg::{Outcome, Server};
///
/// World::run(async |_| {
///     let server = Server::mem(&MemNet::new(), "db.test").unwrap();
///     let client = server.client().await.unwrap();
///     client.batch_execute("begin; select pg_sleep(0.5); commit").await.unwrap();
///     let commit = &server.statements()[2];
///     assert_eq!((commit.at.as_millis(), &*commit.sql), (500, "commit"));
///     assert_eq!(commit.outcome, Outcome::Done("COMMIT".to_owned()));
/// });
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Statement {
    /// When it came to be executed: the time since the server was started.
    pub at: Duration,
    /// The process id of its connection, as `pg_backend_pid()` gives it.
    pub connection: i32,
    /// Its text, without the semicolon.
    pub sql: String,
    /// Its parameters as text; in hexadecimal digits, like `bytea`, where their type has no text form.
    pub parameters: Vec<Option<String>>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It is not over, or its portal has more rows to give.
    Running,
    /// It was done, and answered with this tag: `SELECT 2`, say.
    Done(String),
    /// It failed with this SQLSTATE.
    Failed(String),
    /// Its connection, or its portal, ended before it.
    Cut,
}
