//! The permit of a key.

use std::fmt;

use super::table::User;
use crate::concurrency::Permit;

/// The right to run something for a key; dropping it lets the next one of that key run.
///
/// It goes back however the work ends: with a result, with a panic, or by being dropped.
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{KeyPermit, KeyedConcurrency};
///
/// let tenants: KeyedConcurrency<u64> = KeyedConcurrency::new(1);
/// let permit: KeyPermit<u64> = tenants.try_acquire(&7)?;
/// assert!(tenants.try_acquire(&7).is_err());
/// drop(permit);
/// assert!(tenants.try_acquire(&7).is_ok());
/// # Ok::<(), evenkeel_limit::Denied>(())
/// ```
#[must_use = "it goes back when it is dropped"]
pub struct KeyPermit<K> {
    // Dropped in this order: the key is in use until its permit has gone back.
    _permit: Permit<'static>,
    _user: Option<User<K>>,
}

impl<K> KeyPermit<K> {
    pub(super) fn new(permit: Permit<'static>, user: Option<User<K>>) -> Self {
        Self { _permit: permit, _user: user }
    }
}

impl<K> fmt::Debug for KeyPermit<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPermit").finish_non_exhaustive()
    }
}
