//! `AtServer`: the items that wait at the server of a source, for dumps.

use std::{
    fmt, mem,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_base::lock;
use tokio::time::Instant;

/// The handle by which a source tells of the items that wait at its server while nothing comes.
///
/// Clones are the same. The source sets what it has read last; a dump of evenkeel-inspect, which cannot ask a server, shows it
/// beside the source. Items that wait while a pull is under way and none moves are the finding `NoProgress`: a stage has
/// nothing to do then, and nothing else says that there is work.
///
/// # Examples
///
/// ```
/// use evenkeel_pipeline::{AtServer, ServerBacklog};
/// use std::time::Duration;
/// use tokio::time::Instant;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let at_server = AtServer::default();
/// let mut backlog = ServerBacklog::new(500, Instant::now(), "the queue `mails`");
/// // While there are some, a pull takes a round trip.
/// backlog.usual = Some(Duration::from_millis(2));
/// at_server.set(Some(backlog));
/// assert_eq!(at_server.last().unwrap().pending, 500);
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct AtServer(Arc<Mutex<Option<ServerBacklog>>>);

impl AtServer {
    /// Sets what was read; `None` if that says nothing of now, as when items have come since.
    pub fn set(&self, backlog: Option<ServerBacklog>) {
        let before = mem::replace(&mut *lock(&self.0), backlog);
        drop(before);
    }

    /// Returns what was read last.
    #[must_use]
    pub fn last(&self) -> Option<ServerBacklog> {
        lock(&self.0).clone()
    }
}

/// The items that wait at a server, as a source has read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerBacklog {
    /// The number of items that this source could be given.
    pub pending: u64,
    /// The instant since which the server has given none of them, to this source or to another one.
    pub moved_at: Instant,
    /// The time that a pull usually takes while some wait. `None` if the server may rightly give none, as when the limit of those in
    /// hand is reached: a finding then takes 10 min, and that this pipeline has none in hand.
    pub usual: Option<Duration>,
    /// The numbers in words.
    pub text: String,
}

impl ServerBacklog {
    /// Creates the description of items of which it is not known how long a pull takes.
    #[must_use]
    pub fn new(pending: u64, moved_at: Instant, text: impl Into<String>) -> Self {
        Self { pending, moved_at, usual: None, text: text.into() }
    }
}

impl fmt::Display for ServerBacklog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
