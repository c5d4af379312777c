//! The keys in use, and their users.
//!
//! # How it works
//!
//! Entries are sorted by the hash of their key, then by a number that grows with each entry. So those with the same hash are
//! side by side, the newest last. A tree, as it returns its memory when entries go.
//!
//! `Eq` of a key may be foreign code, which must not run under the lock. So a search takes a clone of the next key with the
//! same hash, compares it without the lock, and goes on behind its number. An entry is inserted under the lock that finds no
//! further key with the hash: it is the only one of its key.

use std::{
    borrow::Borrow,
    collections::BTreeMap,
    hash::Hash,
    sync::{Arc, Mutex},
};

use evenkeel_base::lock;

use crate::{concurrency::ConcurrencyLimiter, keyed::KeyHash};

/// A hash, and the number of the entry.
type Id = (u64, u64);

struct Entry<K> {
    key: Arc<K>,
    limiter: Arc<ConcurrencyLimiter>,
    /// The requests and permits that use it, at least one.
    users: usize,
}

/// The data under the lock. No method runs code of a key.
struct Table<K> {
    entries: BTreeMap<Id, Entry<K>>,
    next_number: u64,
}

impl<K> Table<K> {
    /// Returns the first key with this hash whose number is not below `from`.
    fn next_key(&self, hash: u64, from: u64) -> Option<(Id, Arc<K>)> {
        let (id, entry) = self.entries.range((hash, from)..=(hash, u64::MAX)).next()?;
        Some((*id, Arc::clone(&entry.key)))
    }

    /// Adds a user of an entry; `None` if it has gone.
    fn add_user(&mut self, id: Id) -> Option<Arc<ConcurrencyLimiter>> {
        let entry = self.entries.get_mut(&id)?;
        entry.users += 1;
        Some(Arc::clone(&entry.limiter))
    }

    /// Inserts an entry with one user.
    fn insert(&mut self, hash: u64, key: &Arc<K>, limiter: &Arc<ConcurrencyLimiter>) -> Id {
        let id = (hash, self.next_number);
        self.next_number += 1;
        let entry = Entry { key: Arc::clone(key), limiter: Arc::clone(limiter), users: 1 };
        self.entries.insert(id, entry);
        id
    }

    /// Removes a user of an entry, and returns the entry if that was the last one, to be dropped without the lock.
    fn remove_user(&mut self, id: Id) -> Option<Entry<K>> {
        let entry = self.entries.get_mut(&id)?;
        entry.users -= 1;
        if entry.users == 0 { self.entries.remove(&id) } else { None }
    }
}

/// The table behind its lock.
pub(super) struct SharedTable<K> {
    hash: KeyHash,
    table: Mutex<Table<K>>,
}

impl<K> SharedTable<K> {
    pub(super) fn new() -> Self {
        Self { hash: KeyHash::new(), table: Mutex::new(Table { entries: BTreeMap::new(), next_number: 0 }) }
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.table).entries.len()
    }

    pub(super) fn hash(&self, key: &(impl Hash + ?Sized)) -> u64 {
        self.hash.of(key)
    }

    /// Uses the entry of a key, searched among those whose number is not below `from`. Returns the number from which on to
    /// search later ones, if there is none.
    pub(super) fn find<Q>(
        self: &Arc<Self>,
        hash: u64,
        key: &Q,
        mut from: u64,
    ) -> Result<(User<K>, Arc<ConcurrencyLimiter>), u64>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        loop {
            // A statement of its own: the guard of the lock is dropped at its end.
            let next = lock(&self.table).next_key(hash, from);
            let Some((id, stored)) = next else { return Err(from) };
            if (*stored).borrow() == key {
                let limiter = lock(&self.table).add_user(id);
                if let Some(limiter) = limiter {
                    return Ok((self.user(id), limiter));
                }
                // It has gone meanwhile; one that was made since has a larger number.
            }
            from = id.1 + 1;
        }
    }

    /// Uses the entry of a key, or inserts one with this limiter.
    pub(super) fn find_or_insert<Q>(
        self: &Arc<Self>,
        hash: u64,
        key: &Q,
        mut from: u64,
        limiter: Arc<ConcurrencyLimiter>,
    ) -> (User<K>, Arc<ConcurrencyLimiter>)
    where
        K: Borrow<Q>,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
    {
        let stored = Arc::new(key.to_owned());
        loop {
            if let Some(id) = self.insert(hash, from, &stored, &limiter) {
                return (self.user(id), limiter);
            }
            match self.find(hash, key, from) {
                Ok(found) => return found,
                Err(end) => from = end,
            }
        }
    }

    /// Inserts an entry, unless there is a key with this hash whose number is not below `from`.
    fn insert(&self, hash: u64, from: u64, key: &Arc<K>, limiter: &Arc<ConcurrencyLimiter>) -> Option<Id> {
        let mut table = lock(&self.table);
        let is_last = table.entries.range((hash, from)..=(hash, u64::MAX)).next().is_none();
        is_last.then(|| table.insert(hash, key, limiter))
    }

    fn user(self: &Arc<Self>, id: Id) -> User<K> {
        User { table: Arc::clone(self), id }
    }
}

/// A request or permit that uses an entry.
pub(super) struct User<K> {
    table: Arc<SharedTable<K>>,
    id: Id,
}

impl<K> Drop for User<K> {
    fn drop(&mut self) {
        // A statement of its own: the key is dropped after the guard of the lock.
        let last = lock(&self.table.table).remove_user(self.id);
        drop(last);
    }
}
