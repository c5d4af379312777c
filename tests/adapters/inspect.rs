//! Observers of programs: ours and a peer.

mod await_tree;
mod evenkeel;

use evenkeel_tck::{
    BoxFuture,
    inspect::{Settings, Spawned},
};
use tokio::task::JoinHandle;

use super::Peer;

pub(crate) const PEERS: [Peer<Settings>; 2] = [evenkeel::PEER, await_tree::PEER];

/// A task of tokio's.
struct TokioTask(JoinHandle<()>);

impl Spawned for TokioTask {
    fn abort(&self) {
        self.0.abort();
    }

    fn ended(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async { drop(self.0.await) })
    }
}
