#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// file          | holds
// server.rs     | `Server`: scripts, setup, clients, records
// script.rs     | `Script`: the replies to the statements that match
// reply.rs      | `Reply`: rows, errors, faults
// fault.rs      | `ReplyStep` and `ReplyFault`: faults at the steps of a reply
// record.rs     | `Statement` and its `StatementOutcome`
// tables.rs     | `Tables`: a database of your own behind the server
// connector.rs  | `Connector`: how clients reach the server
// drawn.rs      | the statements in timelines, behind the feature `timeline`
// shared.rs     | state that all sessions share: scripts, records, tables, signals
// session.rs    | one connection: start-up, simple queries, end of transactions
// session/      | extended queries, execution, output, the state of a transaction
// wire.rs       | messages over a stream
// sql.rs, sql/  | the SQL that the tables understand: lexer and parser
// store.rs, store/ | the tables: changes and undo, types, expressions
// error.rs      | errors with their SQLSTATE
// value.rs      | values in PostgreSQL's binary and text formats
// copy.rs       | the formats of COPY
// simulation.rs | the page on services under seeded faults

pub use tokio_postgres::types::Type;

pub use self::{
    connector::Connector,
    fault::{ReplyFault, ReplyStep},
    record::{Statement, StatementOutcome},
    reply::Reply,
    script::Script,
    server::Server,
    tables::{AnswerFuture, Description, Tables, Value},
};

mod connector;
mod copy;
#[cfg(feature = "timeline")]
mod drawn;
mod error;
mod fault;
mod record;
mod reply;
mod script;
mod server;
mod session;
mod shared;
// Its example has a pool of deadpool.
#[cfg(any(not(doctest), feature = "deadpool"))]
pub mod simulation;
mod sql;
mod store;
mod tables;
mod value;
mod wire;
