//! `World::current`: the world of the thread.

use std::cell::RefCell;

use super::World;

thread_local! {
    static CURRENT: RefCell<Option<World>> = const { RefCell::new(None) };
}

impl World {
    /// The world whose body or task runs on this thread, or `None` outside of one.
    ///
    /// For mocks and tools that code reaches without the handle.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_testkit::World;
    /// use std::time::Duration;
    ///
    /// async fn deep_inside() -> Duration {
    ///     World::current().unwrap().elapsed()
    /// }
    ///
    /// assert!(World::current().is_none());
    /// assert_eq!(World::run(async |_| deep_inside().await), Duration::ZERO);
    /// ```
    #[must_use]
    pub fn current() -> Option<World> {
        CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
    }

    /// Makes it the world of this thread until the guard is dropped.
    pub(super) fn enter(&self) -> Entered {
        let before = CURRENT.replace(Some(self.clone()));
        drop(before);
        Entered(())
    }
}

/// Ends [`World::enter`]. No runtime runs inside another one, so there was no world before.
#[derive(Debug)]
pub(super) struct Entered(());

impl Drop for Entered {
    fn drop(&mut self) {
        let world = CURRENT.try_with(|current| current.take());
        drop(world);
    }
}
