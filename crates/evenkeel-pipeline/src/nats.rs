//! NATS JetStream as a source and a sink, by the client async-nats.

mod ack;
#[cfg(feature = "inspect")]
mod at_server;
#[cfg(not(feature = "inspect"))]
#[path = "nats/at_server_unread.rs"]
mod at_server;
mod bucket;
mod call;
mod check;
mod checkpoint;
mod config;
mod connection;
mod dead;
mod inbox;
mod intake;
mod leases;
mod link;
mod message;
mod names;
mod publish;
mod receipt;
mod released;
mod requests;
mod sink;
mod source;
mod sweep;

pub use self::{
    ack::JetStreamAck,
    checkpoint::Checkpoint,
    config::JetStream,
    dead::DeadLetterSubject,
    message::JetStreamMessage,
    receipt::JetStreamReceipt,
    sink::{JetStreamSink, Outgoing},
    source::JetStreamSource,
};
