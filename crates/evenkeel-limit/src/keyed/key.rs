//! The lookup of a key under the lock of its shard.
//!
//! # How it works
//!
//! `Eq`, `Clone` and `Drop` of a key may be foreign code, which must not run under the lock. Keys of the standard library's
//! types ([`is_plain`]) are stored as they are, and compared under the lock. Keys of all other types are stored in an
//! [`Arc`] each, and only the pointers are compared under the lock.
//!
//! A lookup that meets an unknown pointer with the same part of the hash cannot go on: it reports what it
//! [needs](NeedsUnlocked), and clones the pointer. The caller releases the lock, has the keys compared, and repeats the
//! lookup, which then knows these pointers. In the same way a key that is to be stored is created without the lock.
//!
//! A repetition may meet further unknown keys, which others have added meanwhile. Each repetition knows more of them, so
//! it ends when no new keys with the same hash are added.

use std::{any::type_name, borrow::Borrow, mem, sync::Arc};

/// The result of a comparison.
pub(super) enum Comparison {
    Same,
    Different,
    Unknown,
}

/// The work that a lookup needs before it can be repeated. It must be done without the lock.
#[derive(Debug)]
pub(super) enum NeedsUnlocked {
    /// To compare the unknown keys that it met.
    Comparison,
    /// To create the key that is stored.
    StoredKey,
}

/// A key that is looked up where keys are stored as `S`.
pub(super) trait Lookup<S> {
    /// Begins to search a chain. Called under the lock.
    fn begin(&mut self) {}

    /// Compares with a stored key. Called under the lock.
    fn compare(&mut self, stored: &S) -> Comparison;

    /// Returns this key, to be stored; `None` if it is still to be created. Called under the lock.
    fn to_store(&mut self) -> Option<S>;

    /// Takes over a key that is no longer stored. If its `Drop` may be foreign code, it is dropped without the lock.
    fn discard(&mut self, stored: S) {
        drop(stored);
    }

    /// Does the work that a lookup needs. Called without the lock.
    fn resolve(&mut self, needs: NeedsUnlocked) {
        unreachable!("{needs:?} of a key that is stored as it is");
    }
}

/// Whether `Hash`, `Eq`, `Clone` and `Drop` of a type are known to run no foreign code.
///
/// Names are only a hint: a type that is not recognized costs time, and breaks no promise. A foreign type of the same name
/// would have to be in a crate named `alloc` or `core`.
pub(super) fn is_plain<T: ?Sized>() -> bool {
    matches!(
        type_name::<T>(),
        "u8" | "u16"
            | "u32"
            | "u64"
            | "u128"
            | "usize"
            | "i8"
            | "i16"
            | "i32"
            | "i64"
            | "i128"
            | "isize"
            | "char"
            | "bool"
            | "()"
            | "str"
            | "&str"
            | "[u8]"
            | "&[u8]"
            | "[u8; 4]"
            | "[u8; 16]"
            | "[u8; 32]"
            | "alloc::string::String"
            | "alloc::boxed::Box<str>"
            | "alloc::sync::Arc<str>"
            | "alloc::vec::Vec<u8>"
            | "core::net::ip_addr::IpAddr"
            | "core::net::ip_addr::Ipv4Addr"
            | "core::net::ip_addr::Ipv6Addr"
            | "core::net::socket_addr::SocketAddr"
    )
}

/// A borrowed key of a plain type.
pub(super) struct PlainKey<'a, Q: ?Sized>(pub(super) &'a Q);

impl<K: Borrow<Q>, Q: Eq + ToOwned<Owned = K> + ?Sized> Lookup<K> for PlainKey<'_, Q> {
    #[inline]
    fn compare(&mut self, stored: &K) -> Comparison {
        if stored.borrow() == self.0 { Comparison::Same } else { Comparison::Different }
    }

    fn to_store(&mut self) -> Option<K> {
        Some(self.0.to_owned())
    }
}

/// An owned key of a plain type, which is stored itself.
pub(super) struct OwnedKey<K>(pub(super) Option<K>);

impl<K: Eq> Lookup<K> for OwnedKey<K> {
    fn compare(&mut self, stored: &K) -> Comparison {
        if self.0.as_ref() == Some(stored) { Comparison::Same } else { Comparison::Different }
    }

    fn to_store(&mut self) -> Option<K> {
        self.0.take()
    }
}

/// A key of any other type.
pub(super) struct SharedKey<'a, K, Q: ?Sized> {
    key: &'a Q,
    create: Option<fn(&Q) -> K>,
    to_store: Option<Arc<K>>,
    /// The stored key that equals this one.
    same: Option<Arc<K>>,
    /// Stored keys with the same tag that differ from this one, in the order in which they were met.
    different: Vec<Arc<K>>,
    /// How many of `different` the current search has passed.
    passed: usize,
    /// Stored keys that were met, and are still to be compared.
    unknown: Vec<Arc<K>>,
    discarded: Vec<Arc<K>>,
}

impl<'a, K, Q: ?Sized> SharedKey<'a, K, Q> {
    /// Returns a key that is created when it has to be stored.
    pub(super) fn borrowed(key: &'a Q, create: fn(&Q) -> K) -> Self {
        Self { create: Some(create), ..Self::stored(key) }
    }

    /// Returns a key that exists already, and is stored itself.
    pub(super) fn owned(key: &'a Q, to_store: Arc<K>) -> Self {
        Self { to_store: Some(to_store), ..Self::stored(key) }
    }

    /// Returns a key that is looked up, but never stored.
    pub(super) fn stored(key: &'a Q) -> Self {
        Self {
            key,
            create: None,
            to_store: None,
            same: None,
            different: vec![],
            passed: 0,
            unknown: vec![],
            discarded: vec![],
        }
    }
}

impl<K: Borrow<Q>, Q: Eq + ?Sized> Lookup<Arc<K>> for SharedKey<'_, K, Q> {
    fn begin(&mut self) {
        self.passed = 0;
    }

    fn compare(&mut self, stored: &Arc<K>) -> Comparison {
        let is = |known: &Arc<K>| Arc::ptr_eq(known, stored);
        if self.same.as_ref().is_some_and(is) {
            return Comparison::Same;
        }
        // A chain is mostly unchanged between two searches, so the next known key is the likely one.
        let next = self.different.get(self.passed).is_some_and(is).then_some(self.passed);
        if let Some(index) = next.or_else(|| self.different.iter().position(is)) {
            self.passed = index + 1;
            return Comparison::Different;
        }
        self.unknown.push(Arc::clone(stored));
        Comparison::Unknown
    }

    fn to_store(&mut self) -> Option<Arc<K>> {
        self.to_store.clone()
    }

    fn discard(&mut self, stored: Arc<K>) {
        self.discarded.push(stored);
    }

    fn resolve(&mut self, needs: NeedsUnlocked) {
        match needs {
            NeedsUnlocked::Comparison => {
                for stored in mem::take(&mut self.unknown) {
                    if (*stored).borrow() == self.key {
                        self.same = Some(stored);
                        break;
                    }
                    self.different.push(stored);
                }
            }
            NeedsUnlocked::StoredKey => {
                self.to_store = self.create.map(|create| Arc::new(create(self.key)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};

    use super::*;

    #[test]
    fn the_standard_library_s_keys_are_recognized() {
        assert!(
            is_plain::<u64>() && is_plain::<&'static str>() && is_plain::<str>() && is_plain::<[u8; 16]>()
        );
        assert!(is_plain::<String>() && is_plain::<Box<str>>() && is_plain::<Arc<str>>());
        assert!(is_plain::<Vec<u8>>() && is_plain::<IpAddr>() && is_plain::<SocketAddr>());
    }

    #[test]
    fn types_of_others_are_not() {
        struct String;
        assert!(!is_plain::<String>() && !is_plain::<&String>() && !is_plain::<Box<String>>());
        assert!(!is_plain::<[String; 4]>() && !is_plain::<(u64, String)>() && !is_plain::<Vec<String>>());
    }
}
