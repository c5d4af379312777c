//! The orders, and what became of them. Yours are in a database, here in a map.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

#[derive(Clone, Default)]
pub(crate) struct Orders(Arc<Mutex<BTreeMap<u32, String>>>);

impl Orders {
    pub(crate) fn set(&self, order: u32, state: &str) {
        self.map().insert(order, state.to_owned());
    }

    /// The orders in this state.
    pub(crate) fn all_in(&self, state: &str) -> Vec<u32> {
        self.map().iter().filter(|(_, its)| *its == state).map(|(order, _)| *order).collect()
    }

    pub(crate) fn list(&self) -> String {
        self.map().iter().map(|(order, state)| format!("{order}: {state}\n")).collect()
    }

    fn map(&self) -> MutexGuard<'_, BTreeMap<u32, String>> {
        self.0.lock().expect("nothing panics under it")
    }
}
