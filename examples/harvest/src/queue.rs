//! The work as jobs of a queue, for one process or for several that share a harvest.
//!
//! # How it works
//!
//! Each page and each document of a user is a job. A worker reads a page, stores its users, and publishes the next page and
//! the documents that are missing; there is no leader. With the queue in the database of the store that is one transaction.
//! With another one the jobs are published between the transaction and the ack, so that a crash repeats the page, which
//! changes nothing, and publishes what is still missing.
//!
//! A document is stored in the transaction that notes it as read. The first attempt that stores one is the one that counts;
//! what another attempt brings later is dropped there. So it does not matter how often a job is delivered. When no page is
//! to be read and no user is open, the harvest is complete, whatever the queue still has.

mod choice;
mod consume;
mod job;
#[cfg(feature = "queue")]
mod nats;
mod numbers;
mod sweep;
mod worker;
mod writer;

use std::time::Duration;

use evenkeel::{
    pipeline::{MemoryBroker, MemoryConfig},
    task::BoxError,
};

#[cfg(feature = "queue")]
pub(crate) use self::job::letters;
pub(crate) use self::{
    choice::{Choice, NOT_BUILT},
    job::Job,
    worker::Worker,
};
use crate::{
    board::Board,
    error::Fatal,
    store::{Checkpoint, Store},
};

/// A queue that was opened, and the harvest whose jobs it has.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) queue: Queue,
    pub(crate) board: Board,
    pub(crate) lease: Duration,
    /// The rows and failures so far.
    pub(crate) checkpoint: Checkpoint,
    /// The jobs that are to be published at the start.
    pub(crate) jobs: Vec<Job>,
    /// There is nothing to do: the other workers of a harvest have just finished it.
    pub(crate) is_complete: bool,
}

/// Where jobs are published. A handle: clones are the same queue.
#[derive(Clone, Debug)]
pub(crate) enum Queue {
    Memory(MemoryBroker<Job>),
    #[cfg(feature = "queue")]
    Postgres {
        queue: Box<evenkeel::pipeline::PgQueue>,
        harvest: String,
    },
    #[cfg(feature = "queue")]
    Nats(Box<nats::NatsQueue>),
}

impl Queue {
    /// Opens a queue, and begins or joins the harvest of this source in the store.
    pub(crate) async fn open(
        choice: &Choice,
        store: &Store,
        source: &str,
        first: &str,
        lease: Duration,
    ) -> Result<Opened, Fatal> {
        match choice {
            Choice::Memory => {
                let checkpoint = store.begin(source, first).await?;
                let config = MemoryConfig { ack_wait: lease, ..MemoryConfig::default() };
                Ok(Opened {
                    queue: Self::Memory(MemoryBroker::with(config)),
                    board: Board::default(),
                    lease,
                    jobs: checkpoint.jobs(),
                    checkpoint,
                    is_complete: false,
                })
            }
            #[cfg(feature = "queue")]
            Choice::Postgres(_) => {
                let queue = store.queue(lease).await?;
                let joined = store.join(source, first, &choice.to_string()).await?;
                let queue = Self::Postgres { queue: Box::new(queue), harvest: joined.harvest.clone() };
                Ok(opened(queue, lease, joined, Vec::new()))
            }
            #[cfg(feature = "queue")]
            Choice::Nats(url) => {
                let server = nats::Server::connect(url).await?;
                let joined = store.join(source, first, &choice.to_string()).await?;
                let (queue, is_empty) = server.open(&joined, lease).await?;
                let is_missing = is_empty || !joined.is_published;
                let jobs = if is_missing { joined.checkpoint.jobs() } else { Vec::new() };
                Ok(opened(Self::Nats(Box::new(queue)), lease, joined, jobs))
            }
        }
    }

    /// Publishes jobs that are to be done.
    pub(crate) async fn publish(&self, jobs: Vec<Job>) -> Result<(), BoxError> {
        match self {
            Self::Memory(broker) => {
                for job in jobs {
                    broker.publish_once(&job.to_string(), job).await?;
                }
                Ok(())
            }
            #[cfg(feature = "queue")]
            Self::Postgres { queue, harvest } => {
                queue.enqueue_many(letters(harvest, jobs)).await?;
                Ok(())
            }
            #[cfg(feature = "queue")]
            Self::Nats(queue) => queue.publish(jobs).await,
        }
    }

    /// Removes what a complete harvest has left, if no other worker is at it.
    pub(crate) async fn clean_up(&self, store: &Store) {
        match self {
            Self::Memory(_) => _ = store,
            // A job that was in the hand of a worker that was killed is told from those of the next harvest.
            #[cfg(feature = "queue")]
            Self::Postgres { .. } => {}
            #[cfg(feature = "queue")]
            Self::Nats(queue) => {
                if store.is_alone().await.unwrap_or(false) {
                    queue.delete().await;
                }
            }
        }
    }
}

#[cfg(feature = "queue")]
fn opened(queue: Queue, lease: Duration, joined: crate::store::Joined, jobs: Vec<Job>) -> Opened {
    let crate::store::Joined { checkpoint, is_complete, board, .. } = joined;
    Opened { queue, board, lease, checkpoint, jobs, is_complete }
}
