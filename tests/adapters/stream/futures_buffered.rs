//! futures-buffered: `buffered_ordered`, `buffered_unordered` and their `try_` twins, and `MergeUnbounded`.

use evenkeel_tck::{
    Adapter, AdapterError,
    stream::{Capability, FailureMode, Item, Map, Operator, Settings},
};
use futures::{StreamExt as _, TryStreamExt as _};
use futures_buffered::{BufferedStreamExt as _, BufferedTryStreamExt as _, MergeUnbounded};

use super::NO_SUCH_THING;
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "futures-buffered",
    package: "futures-buffered",
    docs: "https://docs.rs/futures-buffered/0.2.14/futures_buffered/trait.BufferedStreamExt.html",
    adapter: &Buffered,
    isolated: &["STREAM-07"],
    fails: &[
        (
            "STREAM-07",
            "with a limit of zero it takes no item and waits (`BufferUnordered::poll_next`, buffered/unordered.rs)",
        ),
        (
            "STREAM-13",
            "items begin when it is polled, not when a result is returned (`BufferUnordered::poll_next`)",
        ),
        (
            "STREAM-14",
            "items in flight are polled within `poll_next` alone, so they keep the lock that the consumer waits for",
        ),
        ("STREAM-15", "as STREAM-14: an item that is not polled goes on when the consumer comes back"),
        ("STREAM-16", "as STREAM-14"),
        (
            "STREAM-23",
            "`try_buffered_ordered` returns an error in the order of the items (`FuturesOrderedBounded`)",
        ),
        (
            "STREAM-39",
            "without its source, `try_buffered_unordered` says that nothing is left, though items are in flight (`size_hint`, try_buffered.rs)",
        ),
        ("STREAM-102", "the source is polled within `poll_next` alone"),
    ],
};

struct Buffered;

impl Adapter<Settings> for Buffered {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Map
            | Capability::Ordered
            | Capability::Unordered
            | Capability::FailFast
            | Capability::CollectAll
            | Capability::SourceErrors
            | Capability::Stream
            | Capability::Merge => Ok(()),
            Capability::Parallel => Err("all items run within the consumer's task"),
            Capability::PanicResults => Err("a panic of an item goes on in the consumer"),
            _ => Err(NO_SUCH_THING),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Operator, AdapterError> {
        Ok(match settings {
            Settings::Map(map) => self::map(map),
            Settings::Merge => Operator::merge(MergeUnbounded::from_iter),
            _ => return Err(AdapterError::NotExpressible(NO_SUCH_THING)),
        })
    }
}

fn map(map: &Map) -> Operator {
    let limit = map.limit;
    let run = async |item: Result<Item, _>| item?.run().await;
    match (map.on_failure, map.ordered) {
        (FailureMode::Stop, true) => {
            Operator::map(move |source| source.results().map_ok(Item::run).try_buffered_ordered(limit))
        }
        (FailureMode::Stop, false) => {
            Operator::map(move |source| source.results().map_ok(Item::run).try_buffered_unordered(limit))
        }
        (FailureMode::GoOn, true) => {
            Operator::map(move |source| source.results().map(run).buffered_ordered(limit))
        }
        (FailureMode::GoOn, false) => {
            Operator::map(move |source| source.results().map(run).buffered_unordered(limit))
        }
        (_, true) => Operator::map(move |source| source.map(Item::run).buffered_ordered(limit)),
        (_, false) => Operator::map(move |source| source.map(Item::run).buffered_unordered(limit)),
    }
}
