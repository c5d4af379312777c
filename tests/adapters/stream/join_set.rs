//! tokio's `JoinSet`: a loop that spawns up to a limit, and takes what is joined.

use evenkeel_tck::{
    Adapter, AdapterError,
    stream::{Capability, Consumer, FailureMode, Operator, ReportedFailure, Settings, Source},
};
use futures::StreamExt as _;
use tokio::{select, task::JoinSet};

use super::NO_SUCH_THING;
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "JoinSet",
    package: "tokio",
    docs: "https://docs.rs/tokio/1.54.1/tokio/task/struct.JoinSet.html",
    adapter: &Set,
    isolated: &[],
    fails: &[
        (
            "STREAM-13",
            "the loop spawns the next item when its consumer has come back: `select!` runs one branch at a time",
        ),
        ("STREAM-102", "as STREAM-13: the loop asks the source when its consumer has come back"),
    ],
};

struct Set;

impl Adapter<Settings> for Set {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Map
            | Capability::Unordered
            | Capability::FailFast
            | Capability::CollectAll
            | Capability::PanicResults
            | Capability::Parallel => Ok(()),
            Capability::Ordered => Err("results come in the order of completion"),
            Capability::Stream | Capability::SourceErrors => Err("the loop is the user's own"),
            _ => Err(NO_SUCH_THING),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Operator, AdapterError> {
        let Settings::Map(map) = settings else {
            return Err(AdapterError::NotExpressible(NO_SUCH_THING));
        };
        let (limit, stops) = (map.limit, map.on_failure == FailureMode::Stop);
        if limit == 0 {
            return Err(AdapterError::NotExpressible("the limit is the user's own comparison"));
        }
        Ok(Operator::map_into(move |source, consumer| async move {
            let mut set = JoinSet::new();
            let ended = run(&mut set, limit, source, &consumer).await;
            if stops {
                set.shutdown().await;
            }
            ended
        }))
    }
}

async fn run(
    set: &mut JoinSet<Result<u32, ReportedFailure>>,
    limit: usize,
    mut source: Source,
    consumer: &Consumer,
) -> Result<(), ReportedFailure> {
    let mut is_open = true;
    loop {
        select! {
            biased;
            item = source.next(), if is_open && set.len() < limit => match item {
                Some(item) => drop(set.spawn(item.run())),
                None => is_open = false,
            },
            Some(joined) = set.join_next() => {
                consumer.take(joined.unwrap_or_else(|error| Err(error.into()))).await?;
            }
            else => return Ok(()),
        }
    }
}
