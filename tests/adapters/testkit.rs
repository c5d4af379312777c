//! Test kits: ours and the peers.

pub(crate) mod evenkeel;
mod loopback;
mod mockito;
mod tokio_paused;
mod turmoil;
mod wiremock;

use std::{env, process::Command};

use evenkeel_tck::testkit::Settings;

use super::Peer;

pub(crate) const PEERS: [Peer<Settings>; 5] =
    [evenkeel::PEER, tokio_paused::PEER, turmoil::PEER, wiremock::PEER, mockito::PEER];

/// This program again, for the test of one rule.
pub(crate) fn child(subject: &str, rule: &str) -> Option<Command> {
    let mut command = Command::new(env::current_exe().ok()?);
    command.args(["test", subject, rule]);
    Some(command)
}
