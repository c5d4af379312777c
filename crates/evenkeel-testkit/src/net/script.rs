//! Faults of a link, one after the other.

use std::time::Duration;

use tokio::time::sleep;

use super::{Link, Toxics};

/// One thing that happens to a [`Link`].
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
    /// Slows all connects that follow: [`Link::connect_delay`].
    ConnectDelay(Duration),
    /// Takes all faults away: [`Link::heal`].
    Heal,
}

/// What happens to a link, and when: faults as data, which a property test can draw and shrink.
///
/// With the feature `proptest`, `strategy::script` draws one.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, assert_took, net::{Fault, MemNet, Script}};
/// use std::time::Duration;
///
/// const SECOND: Duration = Duration::from_secs(1);
///
/// World::run(async |_| {
///     let net = MemNet::new();
///     let _listener = net.listen("db.test:5432").unwrap();
///     let link = net.link("db.test:5432");
///     let script = Script::new().then(SECOND, Fault::Refuse(1)).then(2 * SECOND, Fault::Heal);
///     assert_took!(script.play(&link), 3 * SECOND);
///     assert!(net.connect("db.test:5432").await.is_ok());
/// });
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a script does nothing until it is played"]
pub struct Script(Vec<(Duration, Fault)>);

impl Script {
    /// One in which nothing happens.
    pub const fn new() -> Self {
        Script(Vec::new())
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

    /// Lets it happen, and heals the link right after the last fault, so that what is tested can come to its end.
    ///
    /// # Cancel safety
    ///
    /// A play that is dropped ends where it is: the faults that are in force stay.
    pub async fn play(&self, link: &Link) {
        for (after, fault) in self.faults() {
            sleep(after).await;
            fault.happen(link);
        }
        link.heal();
    }
}

impl Fault {
    fn happen(self, link: &Link) {
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
