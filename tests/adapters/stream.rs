//! Operators on streams: ours, seven peers for maps, merges and batches, and five for queues.

mod async_channel;
mod async_stream;
mod crossfire;
mod evenkeel;
mod flume;
mod futures;
mod futures_buffered;
mod futures_concurrency;
mod futures_spawned;
mod join_set;
mod kanal;
mod mpsc;
mod par_stream;
mod tokio_par_stream;
mod tokio_stream;

use evenkeel_tck::stream::Settings;

use super::Peer;

pub(crate) const PEERS: [Peer<Settings>; 15] = [
    evenkeel::PEER,
    futures::PEER,
    futures_spawned::PEER,
    futures_buffered::PEER,
    futures_concurrency::PEER,
    join_set::PEER,
    par_stream::PEER,
    tokio_par_stream::PEER,
    tokio_stream::PEER,
    async_stream::PEER,
    mpsc::PEER,
    async_channel::PEER,
    flume::PEER,
    kanal::PEER,
    crossfire::PEER,
];

const NO_SUCH_THING: &str = "there is no such thing";

/// The reason of a peer that has nothing but queues.
const ONLY_QUEUES: &str = "it has queues alone";
