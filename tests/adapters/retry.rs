//! Retry: ours and five peers.

mod backoff;
mod backon;
mod evenkeel;
mod tokio_retry;
mod tokio_retry2;
mod tower;

use evenkeel_tck::retry::Settings;

use super::Peer;

pub(crate) const PEERS: [Peer<Settings>; 6] =
    [evenkeel::PEER, backon::PEER, backoff::PEER, tokio_retry::PEER, tokio_retry2::PEER, tower::PEER];

/// Why a limit of zero cannot be asked of a peer that counts retries.
const COUNTS_RETRIES: &str = "it counts retries, so zero attempts cannot be said";

/// Why a response that counts as a failure cannot be asked of a peer.
const ONLY_ERRORS: &str = "only errors are retried";

const NO_SUCH_SETTING: &str = "there is no such setting";
