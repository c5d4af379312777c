//! Pipelines: ours over its broker in memory, and a loop over a channel.

mod evenkeel;
mod mpsc;

use evenkeel_tck::pipeline::Settings;

use super::Peer;

pub(crate) const PEERS: [Peer<Settings>; 2] = [evenkeel::PEER, mpsc::PEER];
