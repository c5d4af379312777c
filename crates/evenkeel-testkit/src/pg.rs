//! A PostgreSQL server with a script and small tables, and clients for it in memory.

pub use tokio_postgres::types::Type;

pub use self::{
    connector::Connector,
    record::{Outcome, Statement},
    reply::Reply,
    script::Script,
    server::Server,
};

mod backend;
mod connector;
mod copy;
mod error;
mod record;
mod reply;
mod script;
mod server;
mod session;
mod sql;
mod store;
mod value;
mod wire;
