#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// Files in reading order:
//
// | file | contents |
// |---|---|
// | `database.rs`, `builder.rs` | the handle and its calls; its constructors and configuration |
// | `session_pool.rs`, `session.rs`, `session/` | lends sessions, repeats calls that did not begin; a leased connection |
// | `transaction.rs`, `transaction/` | begin, body, commit, repeat; the handle `Tx`; the options |
// | `connection.rs` | a connection and the account that it keeps of itself: condition, transaction, sequences |
// | `connection/run.rs` | runs statements, each prepared once, and again when it is stale |
// | `connection/prepared.rs`, `connection/statement_cache.rs` | the prepared statements, and when they are stale |
// | `connection/copy_end.rs` | reads a `COPY` to its end, which the client leaves unread |
// | `connection/tx_end.rs`, `connection/tx_record.rs` | guards a transaction against its end; its failures and identity |
// | `connection/reset.rs`, `recycle.rs`, `cancel.rs` | resets a session; makes connections reusable; requests to cancel |
// | `sql/` | tokens of a statement; its effect on the session, its need of one; whether it ends the transaction, or copies |
// | `manager.rs`, `connect/` | makes connections for the pool: strings, hosts, encryption, links, poolers, progress, errors |
// | `tls.rs`, `tls/` | TLS by rustls: options, connector, what is verified, errors |
// | `stream.rs` | statements whose results are read as they come: rows, and what `COPY` sends |
// | `batch.rs` | several statements in one message, and their results |
// | `copy.rs`, `copy/` | bulk writes and reads: targets, rows and their encodings, sending, reading |
// | `edges.rs`, `edges/recorded.rs`, `edges/unrecorded.rs`, `edges/resources.rs` | what calls wait for, and open transactions: with the feature `inspect`, and without it; the database in the dumps of evenkeel-inspect |
// | `listen.rs` | notifications, over a connection of their own |
// | `error.rs`, `sqlstate.rs` | the error of all calls; the meaning of the server's errors |
// | `params.rs`, `row.rs`, `row/` | parameters and rows as tuples; rows by the names of their columns; values and their errors |

mod batch;
mod builder;
mod cancel;
mod connect;
mod connection;
mod copy;
mod database;
mod edges;
mod error;
mod listen;
mod manager;
mod params;
mod recycle;
mod row;
mod session;
mod session_pool;
mod sql;
mod sqlstate;
mod stream;
mod tls;
mod transaction;

pub use deadpool_postgres;
pub use evenkeel_pool::{BoxError, BuildError, Closed, GetError, Holder, Snapshot};
pub use evenkeel_retry::{Policy, RetryError};
pub use tokio_postgres;

pub use self::{
    batch::{SqlBatch, SqlBatchResult},
    builder::Builder,
    connect::{ConnectError, HostError, PoolMode, Prepared},
    copy::{CopyOut, CopyOutBytes, CopyRow, FromCopy},
    database::Database,
    error::Error,
    listen::{ListenEvent, Listener},
    params::Params,
    row::FromRow,
    stream::RowStream,
    tls::{SslMode, TlsOptions},
    transaction::{Tx, TxOptions},
};

/// For the expansion of [`from_row!`].
#[doc(hidden)]
pub use self::row::by_name as __row;
