//! futures: `buffered`, `buffer_unordered` and their `try_` twins, `chunks`, `select_all` and `unfold`.

use evenkeel_tck::{
    Adapter, AdapterError,
    stream::{Capability, FailureMode, Item, Map, Operator, Settings},
};
use futures::{
    StreamExt as _, TryStreamExt as _,
    stream::{select_all, unfold},
};

use super::NO_SUCH_THING;
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "futures",
    package: "futures",
    docs: "https://docs.rs/futures/0.3.34/futures/stream/trait.StreamExt.html",
    adapter: &Futures,
    isolated: &["STREAM-07"],
    fails: &[
        (
            "STREAM-07",
            "with a limit of zero it takes no item and waits (`BufferUnordered::poll_next`, stream/buffer_unordered.rs)",
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
            "STREAM-17",
            "items that are woken are polled, though tokio's budget for the task is used up (`FuturesUnordered::poll_next`)",
        ),
        ("STREAM-18", "it returns ready results without end, and leaves the yield to the consumer"),
        ("STREAM-23", "`try_buffered` returns an error in the order of the items (`FuturesOrdered`)"),
        ("STREAM-41", "`unfold` panics: \"Unfold must not be polled after it returned `Poll::Ready(None)`\""),
        ("STREAM-52", "`chunks` allocates its maximum (`Chunks::new`, stream/chunks.rs)"),
        ("STREAM-102", "the source is polled within `poll_next` alone"),
    ],
};

struct Futures;

impl Adapter<Settings> for Futures {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Map
            | Capability::Ordered
            | Capability::Unordered
            | Capability::FailFast
            | Capability::CollectAll
            | Capability::SourceErrors
            | Capability::Stream
            | Capability::Batch
            | Capability::Merge
            | Capability::Generate => Ok(()),
            Capability::Parallel => Err("all items run within the consumer's task"),
            Capability::PanicResults => Err("a panic of an item goes on in the consumer"),
            Capability::Pages => Err("`try_unfold`, and a loop of your own"),
            Capability::Queue => Err("its `mpsc` grows with the number of senders"),
            _ => Err(NO_SUCH_THING),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Operator, AdapterError> {
        Ok(match settings {
            Settings::Map(map) => self::map(map),
            Settings::Batch(batch) => {
                let items = batch.items;
                Operator::batch(move |source| source.chunks(items))
            }
            Settings::Merge => Operator::merge(select_all),
            Settings::Generate => Operator::generate(|source| {
                unfold(source, async |mut source| source.next().await.map(|item| (item, source)))
            }),
            _ => return Err(AdapterError::NotExpressible(NO_SUCH_THING)),
        })
    }
}

fn map(map: &Map) -> Operator {
    let limit = map.limit;
    let run = async |item: Result<Item, _>| item?.run().await;
    match (map.on_failure, map.ordered) {
        (FailureMode::Stop, true) => {
            Operator::map(move |source| source.results().map_ok(Item::run).try_buffered(limit))
        }
        (FailureMode::Stop, false) => {
            Operator::map(move |source| source.results().map_ok(Item::run).try_buffer_unordered(limit))
        }
        (FailureMode::GoOn, true) => Operator::map(move |source| source.results().map(run).buffered(limit)),
        (FailureMode::GoOn, false) => {
            Operator::map(move |source| source.results().map(run).buffer_unordered(limit))
        }
        (_, true) => Operator::map(move |source| source.map(Item::run).buffered(limit)),
        (_, false) => Operator::map(move |source| source.map(Item::run).buffer_unordered(limit)),
    }
}
