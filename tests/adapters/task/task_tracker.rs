//! tokio-util's `TaskTracker` with a `CancellationToken`, as in the examples of both.

use std::future::pending;

use evenkeel_tck::{
    Adapter, AdapterError, Configured,
    task::{Body, Capability, FailureMode, Outcome, Settings, Task},
};
use tokio::select;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{NO_SUCH_SETTING, TIMEOUT};
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "TaskTracker",
    package: "tokio-util",
    docs: "https://docs.rs/tokio-util/0.7.20/tokio_util/task/task_tracker/struct.TaskTracker.html",
    adapter: &Tracker,
    isolated: &[],
    fails: &[
        ("TASK-15", "a tracker that is dropped leaves its tasks (tokio-rs/tokio#7222)"),
        ("TASK-16", "what a task comes to is dropped with its handle (`TaskTracker::spawn`)"),
        ("TASK-19", "as TASK-16"),
        ("TASK-25", "as TASK-15"),
        ("TASK-27", "closing \"does not prevent you from spawning new tasks\" (`TaskTracker::close`)"),
        ("TASK-28", "as TASK-15"),
        ("TASK-46", "as TASK-16"),
    ],
};

struct Tracker;

impl Adapter<Settings> for Tracker {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Body
            | Capability::SpawnFromTasks
            | Capability::Handle
            | Capability::Stop
            | Capability::Blocking
            | Capability::BlockingSignal => Ok(()),
            Capability::Errors => Err("what tasks return is dropped, unless somebody keeps their handles"),
            Capability::Grace => Err("the token is all that there is: a task ends when it likes"),
            Capability::Deadline => Err(TIMEOUT),
            _ => Err(NO_SUCH_SETTING),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Configured<Body, Outcome>, AdapterError> {
        if settings.on_failure != FailureMode::Usual {
            return Err(AdapterError::NotExpressible("it does not know what fails"));
        }
        let stop_after = settings.stop_after;
        Ok(Configured::new(move |body: Body| async move {
            let (tracker, token) = (TaskTracker::new(), CancellationToken::new());
            let handle = (tracker.clone(), token.clone());
            body.hand_out(move |child| spawn(&handle, child));
            let all = async {
                let group = (tracker.clone(), token.clone());
                let _ = body.run(|child| spawn(&group, child)).await;
                tracker.close();
                tracker.wait().await;
            };
            let stopped = async {
                super::stop(stop_after).await;
                token.cancel();
                pending::<()>().await;
            };
            select! {
                biased;
                () = all => {}
                () = stopped => {}
            }
            Outcome::default()
        }))
    }
}

fn spawn(group: &(TaskTracker, CancellationToken), child: Task) {
    let inner = group.clone();
    let (tracker, token) = group.clone();
    if child.is_blocking() {
        tracker.spawn_blocking(move || child.block(|| token.is_cancelled()));
        return;
    }
    tracker.spawn(async move {
        select! {
            biased;
            _ = child.run(pending(), move |child| spawn(&inner, child)) => {}
            () = token.cancelled() => {}
        }
    });
}
