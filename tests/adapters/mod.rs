//! Implementations behind the `Adapter` of evenkeel-tck: ours, and the peers of each pattern.
//!
//! An adapter follows its peer's documentation, and adds nothing. A rule that a peer fails is a claim about the
//! work of others: the adapter's file says why it fails, as read in the peer's source, or the scoreboard is not made.

pub(crate) mod inspect;
pub(crate) mod limit;
pub(crate) mod pipeline;
pub(crate) mod pool;
pub(crate) mod retry;
pub(crate) mod shutdown;
pub(crate) mod stream;
pub(crate) mod task;
pub(crate) mod testkit;

use evenkeel_tck::{Adapter, Pattern};

/// An implementation, and facts about it besides the findings of the rules.
pub(crate) struct Peer<S: Pattern> {
    /// Its name in the scoreboard.
    pub(crate) name: &'static str,
    /// Its package, whose version the scoreboard tells.
    pub(crate) package: &'static str,
    /// The documentation that the adapter follows.
    pub(crate) docs: &'static str,
    pub(crate) adapter: &'static dyn Adapter<S>,
    /// Rules in which it may crash, hang or spin: these run in a process of their own.
    pub(crate) isolated: &'static [&'static str],
    /// Rules that it fails, and why.
    pub(crate) fails: &'static [(&'static str, &'static str)],
}
