//! tokio-par-stream: `par_buffered` and `par_buffered_unordered`.

use evenkeel_tck::{
    Adapter, AdapterError,
    stream::{Capability, FailureMode, Item, Operator, Settings},
};
use futures::StreamExt as _;
use tokio_par_stream::TokioParStream as _;

use super::NO_SUCH_THING;
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "tokio-par-stream",
    package: "tokio-par-stream",
    docs: "https://docs.rs/tokio-par-stream/0.1.1/tokio_par_stream/trait.TokioParStream.html",
    adapter: &TokioParStream,
    isolated: &["STREAM-07"],
    fails: &[
        (
            "STREAM-13",
            "items begin when it is polled, not when a result is returned (`buffered_stream!`, lib.rs)",
        ),
        ("STREAM-102", "the source is polled within `poll_next` alone"),
    ],
};

struct TokioParStream;

impl Adapter<Settings> for TokioParStream {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Map
            | Capability::Ordered
            | Capability::Unordered
            | Capability::CollectAll
            | Capability::SourceErrors
            | Capability::Parallel
            | Capability::Stream => Ok(()),
            Capability::PanicResults => Err("a panic of an item goes on in the consumer"),
            _ => Err(NO_SUCH_THING),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Operator, AdapterError> {
        let Settings::Map(map) = settings else {
            return Err(AdapterError::NotExpressible(NO_SUCH_THING));
        };
        let limit = map.limit;
        let run = async |item: Result<Item, _>| item?.run().await;
        Ok(match (map.on_failure, map.ordered) {
            (FailureMode::GoOn, true) => {
                Operator::map(move |source| source.results().map(run).par_buffered(limit))
            }
            (FailureMode::GoOn, false) => {
                Operator::map(move |source| source.results().map(run).par_buffered_unordered(limit))
            }
            (_, true) => Operator::map(move |source| source.map(Item::run).par_buffered(limit)),
            (_, false) => Operator::map(move |source| source.map(Item::run).par_buffered_unordered(limit)),
        })
    }
}
