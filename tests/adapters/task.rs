//! Groups of tasks: ours and four peers.
//!
//! async-scoped is not among them: its scopes are `unsafe` to await, and its safe ones block the thread.

mod evenkeel;
mod futures_concurrency;
mod join_set;
mod moro;
mod task_tracker;

use std::{future::pending, time::Duration};

use evenkeel_tck::task::Settings;
use tokio::time::sleep;

use super::Peer;

pub(crate) const PEERS: [Peer<Settings>; 5] =
    [evenkeel::PEER, join_set::PEER, task_tracker::PEER, moro::PEER, futures_concurrency::PEER];

const NO_SUCH_SETTING: &str = "there is no such setting";

/// Why a deadline cannot be asked of a peer that has none.
const TIMEOUT: &str = "wrap it in `tokio::time::timeout`";

/// The stop that comes from outside, if one does.
async fn stop(after: Option<Duration>) {
    match after {
        Some(after) => sleep(after).await,
        None => pending().await,
    }
}
