//! A sequence of faults of a link, as data.

use std::time::Duration;

use tokio::time::sleep;

use super::{Link, Toxics};

/// A fault of a [`Link`], or the end of all its faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Sets the toxics of both directions: [`Link::both`].
    Toxics(Toxics),
    /// Closes all open connections: [`Link::cut`].
    Cut,
    /// Resets all open connections: [`Link::reset`].
    Reset,
    /// Refuses the next connects: [`Link::refuse`].
    Refuse(usize),
    /// Delays all later connects: [`Link::connect_delay`].
    ConnectDelay(Duration),
    /// Removes all faults: [`Link::heal`].
    Heal,
}

/// A sequence of faults of a link, each at its time: data that a property test can draw and shrink.
///
/// With the feature `proptest`, `strategy::script` draws one.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, assert_took, net::{Fault, MemNet, FaultScript}};
/// use std::time::Duration;
///
/// const SECOND: Duration = Duration::from_secs(1);
///
/// World::run(async |_| {
///     let net = MemNet::new();
///     let _listener = net.listen("db.test:5432").unwrap();
///     let link = net.link("db.test:5432");
///     let script = FaultScript::new().then(SECOND, Fault::Refuse(1)).then(2 * SECOND, Fault::Heal);
///     assert_took!(script.play(&link), 3 * SECOND);
///     assert!(net.connect("db.test:5432").await.is_ok());
/// });
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a script does nothing until it is played"]
pub struct FaultScript(Vec<(Duration, Fault)>);

impl FaultScript {
    /// A script without faults.
    pub const fn new() -> Self {
        FaultScript(Vec::new())
    }

    /// Adds a fault, this long after the one before it, or after the beginning.
    pub fn then(mut self, after: Duration, fault: Fault) -> Self {
        self.0.push((after, fault));
        self
    }

    /// The faults, each with the time since the one before it.
    #[must_use]
    pub fn faults(&self) -> impl ExactSizeIterator<Item = (Duration, Fault)> {
        self.0.iter().copied()
    }

    /// Plays the faults, and heals the link right after the last one, so that the code under test can finish.
    ///
    /// # Cancel safety
    ///
    /// Dropping it stops the script: faults that are in force stay.
    pub async fn play(&self, link: &Link) {
        for (after, fault) in self.faults() {
            sleep(after).await;
            fault.apply(link);
        }
        link.heal();
    }
}

impl Fault {
    fn apply(self, link: &Link) {
        match self {
            Fault::Toxics(toxics) => link.both(toxics),
            Fault::Cut => link.cut(),
            Fault::Reset => link.reset(),
            Fault::Refuse(connects) => link.refuse(connects),
            Fault::ConnectDelay(delay) => link.connect_delay(delay),
            Fault::Heal => link.heal(),
        }
    }
}
