//! The capabilities and the settings of an observer.

use std::sync::Arc;

use super::Inspectable;
use crate::adapter::{Pattern, capabilities, where_needed};

/// The configuration of an implementation; an adapter returns [`AdapterError`](crate::AdapterError) where it cannot be.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Settings {
    /// The number of tasks that run at once, of those that the program spawns.
    pub limit: Option<usize>,
}

impl Pattern for Settings {
    type Capability = Capability;
    type Configured = Arc<dyn Inspectable>;

    fn needs(&self) -> impl Iterator<Item = Capability> {
        where_needed([(self.limit.is_some(), Capability::Groups)])
    }
}

capabilities! {
    /// A feature that an observer may have.
    ///
    /// # Examples
    /// As in [`SUITE`](super::SUITE).
    pub enum Capability {
        /// It says which tasks wait for each other.
        Deadlocks = "deadlocks",
        /// It says so at which places.
        Places = "places",
        /// It knows tasks that wait for a place in a group, and for other tasks of it.
        Groups = "groups",
        /// It says what has not gone on for long, by tokio's clock.
        Stalls = "stalls",
        /// It shows the tasks that wait, and what they wait for.
        Waits = "waits",
        /// It lists the resources.
        Resources = "resources",
    }
}
