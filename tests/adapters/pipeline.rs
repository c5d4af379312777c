//! Pipelines: ours over each of its engines, and loops over a channel and over the client of a broker.

#[cfg(unix)]
mod async_nats;
mod evenkeel;
mod mpsc;
#[cfg(unix)]
mod real;
#[cfg(unix)]
mod servers;

use evenkeel_tck::pipeline::Settings;

#[cfg(unix)]
pub(crate) use self::real::{IN_REAL_TIME, RealPeer};
use super::Peer;

pub(crate) const PEERS: [Peer<Settings>; 2] = [evenkeel::PEER, mpsc::PEER];
