//! Pools: ours, and seven peers.

mod asyncband;
mod bb8;
mod deadpool;
mod evenkeel;
mod mobc;
mod qp;
mod simple_pool;
mod sqlx;

use std::time::Duration;

use evenkeel_tck::pool::Settings;

use super::Peer;

pub(crate) const PEERS: [Peer<Settings>; 8] = [
    evenkeel::PEER,
    deadpool::PEER,
    bb8::PEER,
    mobc::PEER,
    sqlx::PEER,
    asyncband::PEER,
    qp::PEER,
    simple_pool::PEER,
];

const NO_SUCH_THING: &str = "there is no such thing";

/// The reason of a peer whose times do not pass under virtual time.
const CLOCK_OF_STD: &str = "by the clock of std, which virtual time does not move";

/// The reason of a peer whose `retain` reaches idle objects alone.
const RETAIN: &str = "`retain` reaches idle objects only";

/// The time-out of a peer that must have one, where a rule wants none.
const LONG: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
