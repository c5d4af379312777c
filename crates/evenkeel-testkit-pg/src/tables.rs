//! `Tables`: a database of your own behind the server.

use std::{fmt, pin::Pin};

use bytes::Bytes;
use tokio_postgres::types::Type;

use super::reply::Reply;

/// A database of your own behind a [`Server`](crate::Server), in place of its tables.
///
/// For a program whose SQL the server does not understand: a model of its tables, or a library with a database in it. The
/// server keeps the protocol, the state of transactions, and the scripts, whose faults concern these statements as well.
///
/// # Examples
///
/// A counter, whose transactions follow each other:
///
/// ```
/// use evenkeel_testkit::{World, net::MemNet};
/// use evenkeel_testkit_pg::{AnswerFuture, Description, Reply, Server, Tables, Type, Value};
/// use std::sync::{Arc, Mutex};
/// use tokio::sync::{OwnedSemaphorePermit, Semaphore};
///
/// #[derive(Debug)]
/// struct Counter {
///     turn: Arc<Semaphore>,
///     /// The committed value, and the session that changes it.
///     state: Mutex<(i64, Option<(i32, i64, OwnedSemaphorePermit)>)>,
/// }
///
/// impl Tables for Counter {
///     fn describe(&self, sql: &str) -> Option<Description> {
///         let columns = Some(vec![("value".to_owned(), Type::INT8)]);
///         (sql == "select next()").then(|| Description { parameters: vec![], columns })
///     }
///
///     fn run<'a>(&'a self, session: i32, sql: &'a str, _: &'a [Value]) -> Option<AnswerFuture<'a>> {
///         self.describe(sql)?;
///         Some(Box::pin(async move {
///             let is_mine = matches!(&self.state.lock().unwrap().1, Some((of, ..)) if *of == session);
///             if !is_mine {
///                 let turn = self.turn.clone().acquire_owned().await.unwrap();
///                 let mut state = self.state.lock().unwrap();
///                 state.1 = Some((session, state.0, turn));
///             }
///             let mut state = self.state.lock().unwrap();
///             let (_, value, _) = state.1.as_mut().unwrap();
///             *value += 1;
///             Reply::columns(&[("value", Type::INT8)]).row(&[&*value])
///         }))
///     }
///
///     fn end(&self, session: i32, is_committed: bool) {
///         let mut state = self.state.lock().unwrap();
///         if let Some((_, value, _turn)) = state.1.take_if(|(of, ..)| *of == session)
///             && is_committed
///         {
///             state.0 = value;
///         }
///     }
/// }
///
/// World::run(async |_| {
///     let counter = Counter { turn: Arc::new(Semaphore::new(1)), state: Mutex::default() };
///     let server = Server::mem_with(&MemNet::new(), "db.test", counter).unwrap();
///     let next = "select next()";
///     let mut client = server.client().await.unwrap();
///     let transaction = client.transaction().await.unwrap();
///     assert_eq!(transaction.query_one(next, &[]).await.unwrap().get::<_, i64>(0), 1);
///     transaction.rollback().await.unwrap();
///     assert_eq!(client.query_one(next, &[]).await.unwrap().get::<_, i64>(0), 1);
///     assert_eq!(client.query_one(next, &[]).await.unwrap().get::<_, i64>(0), 2);
/// });
/// ```
pub trait Tables: fmt::Debug + Send + Sync {
    /// Describes a statement; `None` if it is for the server itself.
    fn describe(&self, sql: &str) -> Option<Description>;

    /// Runs a statement of a session, which has this process id; `None` if it is for the server itself.
    ///
    /// Of the reply its columns, rows, counts and errors matter: latencies and faults are those of scripts. A reply with rows has
    /// the columns of the [description](Self::describe). A cancel request, or the end of the session, drops the future.
    fn run<'a>(&'a self, session: i32, sql: &'a str, parameters: &'a [Value]) -> Option<AnswerFuture<'a>>;

    /// Ends the transaction of a session, if it has one.
    ///
    /// A statement outside of `begin` and `commit` is a transaction. A session that ends rolls back. Savepoints are not passed on.
    fn end(&self, session: i32, is_committed: bool);
}

/// The type of a parameter, and its value in binary format; `None` is NULL.
pub type Value = (Type, Option<Bytes>);

/// A statement that runs.
pub type AnswerFuture<'a> = Pin<Box<dyn Future<Output = Reply> + Send + 'a>>;

/// The types of a statement, which are known before it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// The types of its parameters.
    pub parameters: Vec<Type>,
    /// The names and types of the columns of its result, if it has one.
    pub columns: Option<Vec<(String, Type)>>,
}
