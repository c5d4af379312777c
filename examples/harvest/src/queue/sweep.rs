//! Finds jobs that a queue has lost: by a loss of power, or because somebody has deleted them.

use std::sync::Arc;

use evenkeel::task::Stop;
use tokio::time::{MissedTickBehavior, interval};

use super::worker::Shared;
use crate::board::WorkerState;

/// The number of leases for which nobody has had a job before those that are left are published again.
const LEASES: u32 = 3;

/// Publishes the jobs that are left when no process has had one for several leases, until `end` drains.
///
/// It does no harm where the queue still has them: a queue in PostgreSQL has each job once, the others forget a second one
/// that comes within two minutes, and a document that was stored meanwhile is stored once.
pub(super) async fn sweep(shared: Arc<Shared>, end: Stop) {
    let mut ticks = interval(shared.lease);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let look = async {
        let mut idle = 0;
        loop {
            ticks.tick().await;
            idle = if is_idle(&shared).await { idle + 1 } else { 0 };
            if idle > LEASES {
                idle = 0;
                // Another look follows if a server does not answer.
                if let Ok(jobs) = shared.store.jobs().await {
                    let _ = shared.queue.publish(jobs).await;
                }
            }
        }
    };
    tokio::select! {
        () = look => {}
        () = end.draining() => {}
    }
}

/// Whether no process has a job in hand. One that was killed is no such process, as its lease has run out meanwhile.
async fn is_idle(shared: &Shared) -> bool {
    let has_job = |worker: &WorkerState| worker.stages.iter().any(|stage| stage.in_flight + stage.queued > 0);
    if has_job(&shared.numbers(false)) {
        return false;
    }
    let Ok(board) = shared.board.read().await else { return false };
    let lease = shared.lease.as_secs().max(3);
    !board.workers.iter().any(|worker| !worker.ended && board.now - worker.seen <= lease && has_job(worker))
}
