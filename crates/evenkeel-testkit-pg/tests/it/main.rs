//! The PostgreSQL server in memory, with an unmodified tokio-postgres.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use evenkeel_testkit::net::MemNet;
use evenkeel_testkit_pg::{Server, StatementOutcome};
use tokio_postgres::{Client, Error, SimpleQueryMessage};

mod cancel;
mod copy;
mod fault;
mod notify;
#[cfg(feature = "deadpool")]
mod pool;
mod portal;
mod record;
mod script;
mod table;
mod tables;
mod transaction;
mod value;
mod wire;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// The message of the panic that `test` ends with.
fn panic_of(test: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(test)).expect_err("a panic");
    match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => (*payload.downcast::<&str>().expect("a message")).to_owned(),
    }
}

fn server() -> Server {
    Server::mem(&MemNet::new(), "db.test").expect("a free address")
}

/// A server with a table of two users, and a client.
async fn users() -> (Server, Client) {
    let server = server();
    server.setup(
        "create table users (id int8 primary key, name text);
         insert into users values (1, 'Ada'), (2, 'Bob')",
    );
    let client = server.client().await.expect("a connection");
    (server, client)
}

/// The SQLSTATE of an error.
fn code(error: &Error) -> &str {
    error.code().unwrap_or_else(|| panic!("no error of the server: {error:?}")).code()
}

/// The rows of a simple query, as text.
async fn text(client: &Client, sql: &str) -> Result<Vec<Vec<Option<String>>>, Error> {
    let messages = client.simple_query(sql).await?;
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
        }
        _ => None,
    });
    Ok(rows.collect())
}

/// The names of all users, in the order of their ids.
async fn names(client: &Client) -> Vec<String> {
    let rows = client.query("select name from users order by id", &[]).await.expect("users");
    rows.iter().map(|row| row.get(0)).collect()
}

fn done(tag: &str) -> StatementOutcome {
    StatementOutcome::Done(tag.to_owned())
}

fn failed(code: &str) -> StatementOutcome {
    StatementOutcome::Failed(code.to_owned())
}
