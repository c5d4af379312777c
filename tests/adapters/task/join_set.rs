//! tokio's `JoinSet`: spawned into, and emptied by `join_next` or `shutdown`, as in its documentation.

use evenkeel_tck::{
    Adapter, AdapterError, Configured,
    task::{Body, Capability, Outcome, ReportedFailure, Settings},
};
use tokio::{select, task::JoinSet};

use super::{NO_SUCH_SETTING, TIMEOUT};
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "JoinSet",
    package: "tokio",
    docs: "https://docs.rs/tokio/1.54.1/tokio/task/struct.JoinSet.html",
    adapter: &Set,
    isolated: &[],
    fails: &[
        ("TASK-15", "a set that is dropped aborts its tasks and does not wait for them (`JoinSet`)"),
        ("TASK-19", "`shutdown` \"ignores any panics in the tasks shutting down\""),
        ("TASK-25", "the set of a task that is aborted is dropped, as in TASK-15"),
    ],
};

struct Set;

impl Adapter<Settings> for Set {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Body
            | Capability::Errors
            | Capability::CollectAll
            | Capability::Stop
            | Capability::Blocking => Ok(()),
            Capability::BlockingSignal => Err("nothing tells a blocking call"),
            Capability::FailFast => Err("the loop over `join_next` is the user's own"),
            Capability::SpawnFromTasks | Capability::Handle => Err("it takes `&mut JoinSet` to spawn"),
            Capability::Deadline => Err(TIMEOUT),
            _ => Err(NO_SUCH_SETTING),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Configured<Body, Outcome>, AdapterError> {
        let stop_after = settings.stop_after;
        Ok(Configured::new(move |body: Body| async move {
            let mut set = JoinSet::new();
            let told = select! {
                biased;
                told = run(&mut set, body) => told,
                () = super::stop(stop_after) => Vec::new(),
            };
            set.shutdown().await;
            Outcome::telling(told)
        }))
    }
}

async fn run(set: &mut JoinSet<Result<(), ReportedFailure>>, body: Body) -> Vec<ReportedFailure> {
    let spawn = |child: evenkeel_tck::task::Task| {
        if child.is_blocking() {
            set.spawn_blocking(move || child.block(|| false));
        } else {
            set.spawn(child.alone());
        }
    };
    let mut told = Vec::from_iter(body.run(spawn).await.err());
    while let Some(ended) = set.join_next().await {
        match ended {
            Ok(ended) => told.extend(ended.err()),
            Err(error) => told.push(error.into()),
        }
    }
    told
}
