//! Limits: ours and five peers.

mod clock;
mod evenkeel;
mod governor;
mod leaky_bucket;
mod ratelimit;
mod semaphore;
mod tower;

use evenkeel_tck::limit::Settings;

use super::Peer;

pub(crate) const PEERS: [Peer<Settings>; 6] =
    [evenkeel::PEER, governor::PEER, leaky_bucket::PEER, ratelimit::PEER, tower::PEER, semaphore::PEER];

const NO_SUCH_THING: &str = "there is no such thing";

/// Why a peer that limits rates has no concurrency.
const RATES_ONLY: &str = "it limits rates";
