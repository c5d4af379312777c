//! Ours.

mod queue;

use evenkeel::stream::{self as ours, ItemError, PageError, generate, merge, paginate, prelude::*};
use evenkeel_tck::{
    Adapter, AdapterError,
    stream::{
        Batch, Capability, FailureKind, FailureMode, Fetch, Item, Map, Operator, ReportedFailure, Settings,
        Source,
    },
};
use futures::StreamExt as _;

use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "evenkeel",
    package: "evenkeel-stream",
    docs: "https://docs.rs/evenkeel-stream",
    adapter: &Evenkeel,
    isolated: &[],
    fails: &[],
};

struct Evenkeel;

impl Adapter<Settings> for Evenkeel {
    fn supports(&self, _: Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, settings: &Settings) -> Result<Operator, AdapterError> {
        Ok(match settings {
            Settings::Map(map) if map.limit == 0 => return refused("the limit must not be zero"),
            Settings::Queue(queue) if queue.capacity == 0 => return refused("the capacity must not be zero"),
            Settings::Map(map) => self::map(map),
            Settings::Batch(batch) if batch.items == 0 => {
                return refused("the number of items in a batch must not be zero");
            }
            Settings::Batch(batch) => {
                let batch = batch.clone();
                let batches = move |source: Source| source.batch(size(&batch));
                Operator::batch_with_rest(batches, ours::Batches::into_rest)
            }
            Settings::Merge => Operator::merge_with_handle(|sources| {
                let merged = merge(sources);
                let handle = merged.handle();
                (merged, move |source| drop(handle.add(source)))
            }),
            Settings::Pages(pages) => {
                let ahead = pages.ahead;
                let pages = |fetch: Fetch| paginate(1, async move |cursor| fetch.page(cursor).await);
                if ahead == 0 {
                    Operator::pages(move |fetch| pages(fetch).map(|item| item.map_err(paging)))
                } else {
                    Operator::pages(move |fetch| {
                        pages(fetch).prefetch(ahead).map(|item| item.map_err(paging))
                    })
                }
            }
            Settings::Queue(queue) => queue::operator(queue.capacity, queue.by_weight),
            Settings::Generate => Operator::generate(|mut source| {
                generate(async move |yielder| {
                    while let Some(item) = source.next().await {
                        yielder.yield_(item).await;
                    }
                })
            }),
            _ => return Err(AdapterError::NotExpressible("a new operator")),
        })
    }
}

/// The panic of a constructor, which would come when the operator is made.
fn refused(why: &str) -> Result<Operator, AdapterError> {
    Err(AdapterError::Refused(why.to_owned()))
}

fn size(batch: &Batch) -> ours::Batch<Item> {
    let mut size = ours::Batch::items(batch.items);
    if let Some(weight) = batch.weight {
        size = size.max_bytes(weight, Item::weight);
    }
    if let Some(within) = batch.within {
        size = size.within(within);
    }
    if batch.until { size.ends_after(Item::ends_batch) } else { size }
}

fn map(map: &Map) -> Operator {
    let Map { limit, ordered, keyed, .. } = *map;
    match map.on_failure {
        FailureMode::Stop => Operator::map(move |source| {
            let mut map = source.results().try_par_map(limit, Item::run);
            if keyed {
                map = map.keyed(Item::key);
            }
            if ordered { map.ordered() } else { map }
        }),
        FailureMode::GoOn => Operator::map(move |source| {
            let mut map = source.results().try_par_map(limit, Item::run).settled();
            if keyed {
                map = map.keyed(Item::key);
            }
            if ordered { map.ordered() } else { map }.map(|item| item.map_err(failure))
        }),
        _ => Operator::map(move |source| {
            let mut map = source.par_map(limit, Item::run);
            if keyed {
                map = map.keyed(Item::key);
            }
            if ordered { map.ordered() } else { map }
        }),
    }
}

fn failure(error: ItemError<ReportedFailure>) -> ReportedFailure {
    match error {
        ItemError::Error(failure) => failure,
        ItemError::Panic(panic) => ReportedFailure::panic(panic.message().unwrap_or_default()),
        _ => ReportedFailure::new(FailureKind::Error),
    }
}

fn paging(_: PageError) -> ReportedFailure {
    ReportedFailure::new(FailureKind::Error)
}
