//! futures-concurrency: `join` and `try_join` of a vector, and `race` to stop it, as in the documentation of the
//! traits.

use evenkeel_tck::{
    Adapter, AdapterError, Configured,
    task::{Body, Capability, FailureMode, Outcome, Settings, Task},
};
use futures_concurrency::future::{Join, Race, TryJoin};

use super::{NO_SUCH_SETTING, TIMEOUT};
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "futures-concurrency",
    package: "futures-concurrency",
    docs: "https://docs.rs/futures-concurrency/7.7.1/futures_concurrency/future/index.html",
    adapter: &Futures,
    isolated: &[],
    fails: &[
        (
            "TASK-07",
            "one poll goes through all futures that are ready (`Join::poll`, src/future/join/vec.rs)",
        ),
        (
            "TASK-20",
            "the others are dropped with the join, and a panic there takes the place of the error (`TryJoin`)",
        ),
    ],
};

struct Futures;

impl Adapter<Settings> for Futures {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Errors | Capability::FailFast | Capability::CollectAll | Capability::Stop => Ok(()),
            Capability::Body | Capability::SpawnFromTasks | Capability::Handle => {
                Err("all futures are given at once")
            }
            Capability::Limit => Err("`ConcurrentStream::limit` is for streams"),
            Capability::Deadline => Err(TIMEOUT),
            Capability::Blocking => Err("futures in one task are all that it has"),
            _ => Err(NO_SUCH_SETTING),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Configured<Body, Outcome>, AdapterError> {
        let settings = settings.clone();
        Ok(Configured::new(move |body: Body| {
            let (on_failure, stop_after) = (settings.on_failure, settings.stop_after);
            async move {
                let tasks: Vec<_> = body.tasks().into_iter().map(Task::alone).collect();
                let all = async move {
                    match on_failure {
                        FailureMode::Stop => Outcome::from(tasks.try_join().await.map(drop)),
                        _ => {
                            let ended = tasks.join().await;
                            Outcome::telling(ended.into_iter().filter_map(Result::err))
                        }
                    }
                };
                let stopped = async move {
                    super::stop(stop_after).await;
                    Outcome::default()
                };
                (all, stopped).race().await
            }
        }))
    }
}
