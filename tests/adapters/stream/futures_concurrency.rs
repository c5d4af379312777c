//! futures-concurrency: `co().limit(n).map(f)` with `for_each` or `try_for_each`, and `merge`.

use std::num::NonZeroUsize;

use evenkeel_tck::{
    Adapter, AdapterError,
    stream::{Capability, FailureMode, Item, Operator, Settings},
};
use futures::FutureExt as _;
use futures_concurrency::{concurrent_stream::ConcurrentStream as _, prelude::*};

use super::NO_SUCH_THING;
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "futures-concurrency",
    package: "futures-concurrency",
    docs: "https://docs.rs/futures-concurrency/7.7.1/futures_concurrency/concurrent_stream/trait.ConcurrentStream.html",
    adapter: &Concurrency,
    isolated: &[],
    fails: &[
        (
            "STREAM-13",
            "the place of an item is free when the closure of `for_each` has ended, which is the consumer (`ForEachFut::poll`)",
        ),
        (
            "STREAM-17",
            "items that are woken are polled, though tokio's budget for the task is used up (`FutureGroup`)",
        ),
        ("STREAM-18", "it goes on as long as items are ready (`ForEachConsumer::progress`)"),
    ],
};

struct Concurrency;

impl Adapter<Settings> for Concurrency {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Map
            | Capability::Unordered
            | Capability::FailFast
            | Capability::CollectAll
            | Capability::Merge => Ok(()),
            Capability::Ordered => Err("results come in the order of completion"),
            Capability::Stream => Err("`for_each` and `collect` take the results"),
            Capability::Parallel => Err("all items run within the caller's task"),
            Capability::PanicResults => Err("a panic of an item goes on in the caller"),
            _ => Err(NO_SUCH_THING),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Operator, AdapterError> {
        let map = match settings {
            Settings::Map(map) => map,
            Settings::Merge => return Ok(Operator::merge(|sources| sources.merge())),
            _ => return Err(AdapterError::NotExpressible(NO_SUCH_THING)),
        };
        let limit = NonZeroUsize::new(map.limit);
        if limit.is_none() {
            return Err(AdapterError::NotExpressible("a limit is `NonZeroUsize`"));
        }
        let stops = map.on_failure == FailureMode::Stop;
        Ok(Operator::map_into(move |source, consumer| async move {
            let take = move |result| {
                let consumer = consumer.clone();
                async move { consumer.take(result).await }
            };
            let results = source.co().limit(limit).map(Item::run);
            if stops {
                return results.try_for_each(take).await;
            }
            results.for_each(move |result| take(result).map(drop)).await;
            Ok(())
        }))
    }
}
