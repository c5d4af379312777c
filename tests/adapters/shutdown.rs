//! Graceful shutdown: ours and three peers.

mod async_shutdown;
mod evenkeel;
mod tokio_graceful;
mod tokio_graceful_shutdown;

use std::{future::pending, time::Duration};

use evenkeel_tck::shutdown::Settings;
use tokio::time::sleep;

use super::Peer;

pub(crate) const PEERS: [Peer<Settings>; 4] =
    [evenkeel::PEER, tokio_graceful_shutdown::PEER, tokio_graceful::PEER, async_shutdown::PEER];

const NO_SUCH_THING: &str = "there is no such thing";

/// The rules that send signals to their process.
const SIGNALS: &[&str] =
    &["SHUTDOWN-36", "SHUTDOWN-37", "SHUTDOWN-38", "SHUTDOWN-39", "SHUTDOWN-40", "SHUTDOWN-41"];

/// The grace of peers that need one, where a rule asks for none.
const USUAL_GRACE: Duration = Duration::from_secs(10);

/// A stop, if there is to be one.
async fn stop(after: Option<Duration>) {
    match after {
        Some(after) => sleep(after).await,
        None => pending().await,
    }
}
