//! Pools: ours and its peers.

mod evenkeel;

use evenkeel_tck::pool::Settings;

use super::Peer;

pub(crate) const PEERS: [Peer<Settings>; 1] = [evenkeel::PEER];
