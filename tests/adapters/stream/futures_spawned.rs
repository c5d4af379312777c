//! futures over tasks of tokio: `map(tokio::spawn)` and `buffered` or `buffer_unordered`.

use evenkeel_tck::{
    Adapter, AdapterError,
    stream::{Capability, FailureMode, Item, Operator, ReportedFailure, Settings},
};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use tokio::task::JoinError;

use super::NO_SUCH_THING;
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "futures+spawn",
    package: "futures",
    docs: "https://docs.rs/futures/0.3.34/futures/stream/trait.StreamExt.html#method.buffered",
    adapter: &Spawned,
    isolated: &["STREAM-07"],
    fails: &[
        ("STREAM-07", "with a limit of zero it takes no item and waits (`BufferUnordered::poll_next`)"),
        (
            "STREAM-13",
            "items begin when it is polled, not when a result is returned (`BufferUnordered::poll_next`)",
        ),
        ("STREAM-23", "`try_buffered` returns an error in the order of the items (`FuturesOrdered`)"),
        ("STREAM-25", "a `JoinHandle` that is dropped detaches its task"),
        ("STREAM-31", "as STREAM-25"),
        ("STREAM-35", "as STREAM-25"),
        ("STREAM-37", "as STREAM-25"),
        ("STREAM-102", "the source is polled within `poll_next` alone"),
    ],
};

struct Spawned;

impl Adapter<Settings> for Spawned {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Map
            | Capability::Ordered
            | Capability::Unordered
            | Capability::FailFast
            | Capability::CollectAll
            | Capability::SourceErrors
            | Capability::PanicResults
            | Capability::Parallel
            | Capability::Stream => Ok(()),
            Capability::Batch | Capability::Merge | Capability::Generate => Err("as futures"),
            _ => Err(NO_SUCH_THING),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Operator, AdapterError> {
        let Settings::Map(map) = settings else {
            return Err(AdapterError::NotExpressible(NO_SUCH_THING));
        };
        let limit = map.limit;
        let spawn = |item: Item| tokio::spawn(item.run()).map(joined);
        Ok(match (map.on_failure, map.ordered) {
            (FailureMode::Stop, true) => {
                Operator::map(move |source| source.results().map_ok(spawn).try_buffered(limit))
            }
            (FailureMode::Stop, false) => {
                Operator::map(move |source| source.results().map_ok(spawn).try_buffer_unordered(limit))
            }
            (FailureMode::GoOn, _) => {
                let run = move |item: Result<Item, _>| {
                    futures::future::ready(item).then(async move |item| spawn(item?).await)
                };
                return Ok(if map.ordered {
                    Operator::map(move |source| source.results().map(run).buffered(limit))
                } else {
                    Operator::map(move |source| source.results().map(run).buffer_unordered(limit))
                });
            }
            (_, true) => Operator::map(move |source| source.map(spawn).buffered(limit)),
            (_, false) => Operator::map(move |source| source.map(spawn).buffer_unordered(limit)),
        })
    }
}

fn joined(ended: Result<Result<u32, ReportedFailure>, JoinError>) -> Result<u32, ReportedFailure> {
    ended.unwrap_or_else(|error| Err(error.into()))
}
