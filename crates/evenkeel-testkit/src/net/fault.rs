//! The faults of a link as data, and scripts of them.

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

impl Link {
    /// Plays a script: each fault this long after the one before it, or after the beginning. It heals the link right
    /// after the last one, so that the code under test can finish.
    ///
    /// A script is data that a property test can draw and shrink. With the feature `proptest`, `strategy::script`
    /// draws one.
    ///
    /// # Cancel safety
    ///
    /// Dropping it stops the script: faults that are in force stay.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_testkit::{World, assert_took, net::{Fault, MemNet}};
    /// use std::time::Duration;
    ///
    /// const SECOND: Duration = Duration::from_secs(1);
    ///
    /// World::run(async |_| {
    ///     let net = MemNet::new();
    ///     let _listener = net.listen("db.test:5432").unwrap();
    ///     let script = [(SECOND, Fault::Refuse(1)), (2 * SECOND, Fault::Heal)];
    ///     assert_took!(net.link("db.test:5432").play(&script), 3 * SECOND);
    ///     assert!(net.connect("db.test:5432").await.is_ok());
    /// });
    /// ```
    pub async fn play(&self, script: &[(Duration, Fault)]) {
        for (after, fault) in script {
            sleep(*after).await;
            match *fault {
                Fault::Toxics(toxics) => self.both(toxics),
                Fault::Cut => self.cut(),
                Fault::Reset => self.reset(),
                Fault::Refuse(connects) => self.refuse(connects),
                Fault::ConnectDelay(delay) => self.connect_delay(delay),
                Fault::Heal => self.heal(),
            }
        }
        self.heal();
    }
}
