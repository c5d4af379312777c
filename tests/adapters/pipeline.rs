//! Pipelines: ours over its broker in memory.

mod evenkeel;

use evenkeel_tck::pipeline::Settings;

use super::Peer;

pub(crate) const PEERS: [Peer<Settings>; 1] = [evenkeel::PEER];
