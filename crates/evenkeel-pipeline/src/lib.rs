#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// The files in reading order:
//
// | file | contents |
// |---|---|
// | `source` | the trait of a source: deliveries on demand |
// | `at_server` | the items that wait at a server, for dumps |
// | `ack` | the trait of its other half: what becomes of the deliveries, in bulk |
// | `sink` | the trait of a sink, its messages, and dead letters |
// | `error` | the errors of sources and sinks |
// | `pipeline`, `start` | the builder; its settings checked, its parts made and connected |
// | `running`, `run`, `intake` | the handle of a pipeline that runs; the task that runs it to its end; one of its sources |
// | `chain`, `segment` | stages within one task; the maps that carry items through them, batches and splits |
// | `stage`, `work` | the limit and the numbers of a stage; the run of its function for one item |
// | `in_hand`, `in_hand/state`, `in_hand/entry`, `in_hand/effects`, `in_hand/limits`, `in_hand/account`, `in_hand/numbers` | the account of every delivery, from its pull to the answer of the server; one entry; what a step leaves for later; bounds, the account, numbers |
// | `token`, `item_key`, `deliveries` | a part of an item on its way; the identity of an entry; receipts, and copies for dead letters |
// | `pull`, `settle`, `leases`, `dead_letters` | the tasks that pull, settle, extend leases, write dead letters |
// | `settings`, `status`, `orders` | settings of the stages; errors and warnings of the tasks; orders to them |
// | `edges`, `edges/recorded`, `edges/unrecorded`, `inspect` | who works in a stage, and what the tasks of a source wait for; with the feature `inspect`, and without it; the parts of a pipeline in the dumps of evenkeel-inspect |
// | `race`, `random`, `threads` | the first of two futures; random numbers; tasks that tokio keeps for a thread |
// | `memory` | a broker in memory; its settings and faults |
// | `memory/source`, `memory/receipt`, `memory/shared`, `memory/state`, `memory/ended`, `memory/ids`, `memory/time`, `memory/snapshot` | its source; the handle of a delivery; its lock and its waits; its messages; the deliveries that have ended theirs; ids of messages; times that may be forever; its numbers |
// | `low_water` | the position of a log up to which all is settled |
// | `postgres` | a queue in PostgreSQL, behind the feature of that name: its handle |
// | `postgres/schema`, `postgres/job`, `postgres/enqueue` | its tables; a job; how jobs are stored |
// | `postgres/source`, `postgres/fetch`, `postgres/cursor`, `postgres/worker` | its source; how jobs are taken; from where on; the row that leases them |
// | `postgres/ack`, `postgres/receipt`, `postgres/error` | how jobs are settled; the handle of a delivery; errors of a database |
// | `postgres/dead`, `postgres/inbox`, `postgres/check` | dead letters in the same database; effects that happen once; warnings about a server |
// | `nats` | NATS JetStream, by its feature |
// | `nats/config`, `nats/link`, `nats/call` | the settings of a source and its consumer; whether the consumer is the same; calls of the API |
// | `nats/source`, `nats/inbox`, `nats/requests`, `nats/intake`, `nats/message` | pulls; what comes for requests; the requests that are open; messages that have arrived; a message |
// | `nats/ack`, `nats/leases`, `nats/receipt`, `nats/names`, `nats/released` | decisions, confirmed in bulk; leases on our clock; handles; their texts; deliveries that were handed back |
// | `nats/sink`, `nats/publish`, `nats/dead` | a sink; its windowed publications; dead letters |
// | `nats/checkpoint`, `nats/bucket` | the position of a log; buckets of keys and values |
// | `nats/at_server` | the numbers of a consumer that gives nothing, for dumps |
// | `nats/check`, `nats/sweep` | sentences about durability and limits; messages that a consumer has given up |
// | `report`, `snapshot` | the account at the end; the numbers now, and the bottleneck |
// | `guide` | the guide |

mod ack;
mod at_server;
mod chain;
mod dead_letters;
mod deliveries;
mod edges;
mod error;
pub mod guide;
mod in_hand;
#[cfg(feature = "inspect")]
mod inspect;
mod intake;
mod item_key;
mod leases;
mod low_water;
mod memory;
#[cfg(feature = "nats")]
pub mod nats;
mod orders;
mod pipeline;
#[cfg(feature = "postgres")]
mod postgres;
mod pull;
mod race;
mod random;
mod report;
mod run;
mod running;
mod segment;
mod settings;
mod settle;
mod sink;
mod snapshot;
mod source;
mod stage;
mod start;
mod status;
mod threads;
mod token;
mod work;

pub use ack::{Ack, MAX_SETTLED, Settle, SettleOutcome};
pub use at_server::{AtServer, ServerBacklog};
pub use error::{SinkError, SourceError};
pub use evenkeel_stream::Batch;
pub use low_water::LowWaterMark;
pub use memory::{
    BrokerClosed, Faults, MemoryAck, MemoryBroker, MemoryConfig, MemoryReceipt, MemorySnapshot, MemorySource,
    PowerLoss,
};
pub use pipeline::{InvalidPipeline, Pipeline, Stages, Sunk};
#[cfg(feature = "postgres")]
#[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
pub use postgres::{
    PgAck, PgDeadJob, PgDeadLetters, PgInbox, PgInboxSink, PgJob, PgQueue, PgReceipt, PgSource,
};
pub use report::DrainReport;
pub use running::{PipelineError, Running};
pub use sink::{DeadLetter, Message, Sink};
pub use snapshot::{Bottleneck, PipelineSnapshot};
pub use source::{Deliveries, Delivery, Demand, Source, Warning, Workload};
pub use stage::StageSnapshot;
