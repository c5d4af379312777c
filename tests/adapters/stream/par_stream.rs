//! par-stream: `par_then`, `par_then_unordered` and their `try_` twins, with a buffer of as many results as workers.

use evenkeel_tck::{
    Adapter, AdapterError,
    stream::{Capability, FailureMode, Item, Operator, Settings},
};
use par_stream::{ParParams, prelude::*};

use super::NO_SUCH_THING;
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "par-stream",
    package: "par-stream",
    docs: "https://docs.rs/par-stream/0.10.2/par_stream/trait.ParStreamExt.html",
    adapter: &ParStream,
    isolated: &["STREAM-07"],
    fails: &[
        ("STREAM-04", "`par_then` spawns its workers, which take items, when it is made (par_stream.rs)"),
        ("STREAM-07", "without workers there are no results, and no error (`par_then_unordered`)"),
        (
            "STREAM-11",
            "`reorder_enumerated` keeps the results behind a slow one in a map without a bound (index_stream.rs)",
        ),
        (
            "STREAM-24",
            "`take_until_error` is behind the workers, which go on until they cannot deliver (try_par_stream.rs)",
        ),
        ("STREAM-25", "the tasks of the workers are detached (`rt::spawn`)"),
        ("STREAM-29", "a panic ends its worker, whose handle is gone (`par_then_unordered`)"),
        ("STREAM-32", "the function is called in a task whose handle is gone (`spawned`)"),
        ("STREAM-33", "the source is polled in that task (`spawned`)"),
        ("STREAM-34", "the tasks of the workers are detached, and take items until they cannot deliver"),
        ("STREAM-35", "as STREAM-34"),
        ("STREAM-36", "as STREAM-34: nothing wakes a task that waits for the source"),
        ("STREAM-37", "as STREAM-34"),
    ],
};

struct ParStream;

impl Adapter<Settings> for ParStream {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Map
            | Capability::Ordered
            | Capability::Unordered
            | Capability::FailFast
            | Capability::CollectAll
            | Capability::SourceErrors
            | Capability::Parallel
            | Capability::Stream => Ok(()),
            Capability::PanicResults => Err("a panic ends the worker"),
            Capability::Batch => Err("`batching` is a function of the user"),
            _ => Err(NO_SUCH_THING),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Operator, AdapterError> {
        let Settings::Map(map) = settings else {
            return Err(AdapterError::NotExpressible(NO_SUCH_THING));
        };
        let params = ParParams { num_workers: map.limit, buf_size: Some(map.limit) };
        let run = async |item: Result<Item, _>| item?.run().await;
        Ok(match (map.on_failure, map.ordered) {
            (FailureMode::Stop, true) => {
                Operator::map(move |source| source.results().try_par_then(params, Item::run))
            }
            (FailureMode::Stop, false) => {
                Operator::map(move |source| source.results().try_par_then_unordered(params, Item::run))
            }
            (FailureMode::GoOn, true) => Operator::map(move |source| source.results().par_then(params, run)),
            (FailureMode::GoOn, false) => {
                Operator::map(move |source| source.results().par_then_unordered(params, run))
            }
            (_, true) => Operator::map(move |source| source.par_then(params, Item::run)),
            (_, false) => Operator::map(move |source| source.par_then_unordered(params, Item::run)),
        })
    }
}
