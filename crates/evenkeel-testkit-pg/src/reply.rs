//! `Reply`: the answer to a statement, or a fault in its place.

use std::time::Duration;

use bytes::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type};

use super::{
    error::{SqlError, check},
    fault::{Faults, ReplyFault, ReplyStep},
    store::Field,
    value::Cell,
};

/// The answer to a statement, or a fault in its place.
///
/// It is data: several scripts can use it.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, assert_took, net::MemNet};
/// use evenkeel_testkit_pg::{Reply, Server, Type};
/// use std::time::Duration;
///
/// World::run(async |_| {
///     let server = Server::mem(&MemNet::new(), "db.test").unwrap();
///     let users = Reply::columns(&[("id", Type::INT8), ("name", Type::TEXT)]);
///     let users = users.row(&[&1_i64, &"Ada"]).row(&[&2_i64, &None::<&str>]);
///     server.on("select id, name from users").reply(users.latency(Duration::from_millis(5)));
///
///     let client = server.client().await.unwrap();
///     let rows = assert_took!(client.query("select id, name from users", &[]), Duration::from_millis(5));
///     let names: Vec<Option<String>> = rows.unwrap().iter().map(|row| row.get("name")).collect();
///     assert_eq!(names, [Some("Ada".to_owned()), None]);
/// });
/// ```
#[derive(Clone, Debug)]
#[must_use = "a reply does nothing until a script gives it"]
pub struct Reply {
    pub(super) body: Body,
    pub(super) latency: Duration,
    pub(super) notices: Vec<String>,
    pub(super) faults: Faults,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    /// The statement runs on the tables.
    Run,
    /// It succeeds, and has affected this many rows.
    Done(u64),
    Rows(Vec<Field>, Vec<Vec<Cell>>),
    Error(SqlError),
    Break {
        reset: bool,
    },
    Stall,
}

impl Reply {
    /// Runs the statement as if there were no script: to add a latency or a notice.
    pub fn run() -> Self {
        Self::new(Body::Run)
    }

    /// The statement succeeds, and has affected `rows` rows.
    pub fn affected(rows: u64) -> Self {
        Self::new(Body::Done(rows))
    }

    /// A result with these columns, and no rows yet.
    pub fn columns(columns: &[(&str, Type)]) -> Self {
        let fields = columns.iter().map(|(name, ty)| ((*name).to_owned(), ty.clone()));
        Self::new(Body::Rows(fields.collect(), Vec::new()))
    }

    /// An error with this SQLSTATE, like `40001`.
    ///
    /// # Panics
    ///
    /// If it is not a SQLSTATE: five digits or capital letters.
    #[track_caller]
    pub fn error(code: &str) -> Self {
        check(code);
        Self::new(Body::Error(SqlError::new(code, "scripted error")))
    }

    /// An error that ends the connection, like `57P01`.
    ///
    /// # Panics
    ///
    /// Where [`error`](Self::error) does.
    #[track_caller]
    pub fn fatal(code: &str) -> Self {
        check(code);
        Self::new(Body::Error(SqlError::fatal(code, "scripted error")))
    }

    /// Resets the connection in place of a reply.
    pub fn reset() -> Self {
        Self::new(Body::Break { reset: true })
    }

    /// Closes the connection in place of a reply.
    pub fn eof() -> Self {
        Self::new(Body::Break { reset: false })
    }

    /// Never answers. Only a cancel request or the end of the server ends it.
    pub fn stall() -> Self {
        Self::new(Body::Stall)
    }

    /// Adds a row to a result.
    ///
    /// # Panics
    ///
    /// If the reply has no columns, or another number of them, or if a value does not have the type of its column.
    #[track_caller]
    pub fn row(mut self, values: &[&(dyn ToSql + Sync)]) -> Self {
        let Body::Rows(fields, rows) = &mut self.body else { panic!("a row of a reply without columns") };
        assert!(values.len() == fields.len(), "{} values for {} columns", values.len(), fields.len());
        rows.push(values.iter().zip(fields).map(|(value, (name, ty))| encode(*value, name, ty)).collect());
        self
    }

    /// Sets the text of an error.
    ///
    /// # Panics
    ///
    /// If the reply is not an error.
    #[track_caller]
    pub fn message(mut self, message: &str) -> Self {
        let Body::Error(error) = &mut self.body else { panic!("a message of a reply that is no error") };
        message.clone_into(&mut error.message);
        self
    }

    /// Sets the time from the start of the statement to the reply, or to the fault in its place.
    ///
    /// A cancel request cuts it short.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Sends a notice before the reply.
    pub fn notice(mut self, message: &str) -> Self {
        self.notices.push(message.to_owned());
        self
    }

    /// Resets the connection after `rows` rows of the result.
    pub fn reset_after(self, rows: usize) -> Self {
        self.fault(ReplyStep::Rows(rows), ReplyFault::Reset)
    }

    /// Places a fault at a step of the reply; a step that the reply does not reach has no effect.
    ///
    /// # Panics
    ///
    /// If the fault is an error whose code is no SQLSTATE.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_testkit::{World, net::MemNet};
    /// use evenkeel_testkit_pg::{ReplyFault, Reply, Server, ReplyStep};
    ///
    /// World::run(async |_| {
    ///     let server = Server::mem(&MemNet::new(), "db.test").unwrap();
    ///     server.setup("create table users (id int8)");
    ///     // As a deferred constraint does: the rows are counted, and then refused by the commit.
    ///     let refused = Reply::run().fault(ReplyStep::ReadyForQuery, ReplyFault::Error("23503"));
    ///     server.on_prefix("insert").reply(refused);
    ///
    ///     let client = server.client().await.unwrap();
    ///     let error = client.execute("insert into users values (1)", &[]).await.unwrap_err();
    ///     assert_eq!(error.code().unwrap().code(), "23503");
    ///     assert!(client.query("select * from users", &[]).await.unwrap().is_empty());
    /// });
    /// ```
    #[track_caller]
    pub fn fault(mut self, step: ReplyStep, fault: ReplyFault) -> Self {
        fault.check();
        self.faults.push((step, fault));
        self
    }

    fn new(body: Body) -> Self {
        Reply { body, latency: Duration::ZERO, notices: Vec::new(), faults: Vec::new() }
    }
}

#[track_caller]
fn encode(value: &(dyn ToSql + Sync), name: &str, ty: &Type) -> Cell {
    let mut data = BytesMut::new();
    match value.to_sql_checked(ty, &mut data) {
        Ok(IsNull::Yes) => None,
        Ok(IsNull::No) => Some(data.freeze()),
        Err(error) => panic!("no value for column {name:?}: {error}"),
    }
}
