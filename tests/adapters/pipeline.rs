//! Pipelines: ours over each of its engines, loops over a channel and over the client of a broker, and other queues.

#[cfg(unix)]
mod async_nats;
mod evenkeel;
mod mpsc;
#[cfg(unix)]
mod queues;
#[cfg(unix)]
mod real;
#[cfg(unix)]
mod servers;

use evenkeel_tck::pipeline::Settings;

#[cfg(unix)]
pub(crate) use self::{
    queues::{OF_QUEUES, QueuePeer},
    real::{IN_REAL_TIME, RealPeer},
};
use super::Peer;

pub(crate) const PEERS: [Peer<Settings>; 2] = [evenkeel::PEER, mpsc::PEER];
