#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// The files in reading order:
//
// | file | contents |
// |---|---|
// | `source` | the trait of a source: deliveries on demand |
// | `ack` | the trait of its other half: what becomes of the deliveries, in bulk |
// | `sink` | the trait of a sink, its messages, and dead letters |
// | `error` | the errors of sources and sinks |

mod ack;
mod error;
mod sink;
mod source;

pub use ack::{Ack, MAX_SETTLED, Settle, SettleOutcome};
pub use error::{SinkError, SourceError};
pub use sink::{DeadLetter, Message, Sink};
pub use source::{Deliveries, Delivery, Demand, Source, Warning, Workload};
