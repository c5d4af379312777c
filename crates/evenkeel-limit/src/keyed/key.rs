//! Keys, and how they are compared and made.
//!
//! `Eq`, `Clone` and `Drop` of a key may be code of others, and must not run under the lock of a table. Keys of the
//! types listed here are the standard library's: those are stored as they are, and compared under the lock. Of all
//! other types a table has [`Arc`]s. What is under the lock then compares pointers; where it meets a key of the same
//! hash of which it is not known whether it is the one that is asked for, it gives up, says what is [`Missing`], and
//! begins again when that has been found out without the lock.

use std::{any::type_name, borrow::Borrow, mem, sync::Arc};

/// Whether keys are the same.
pub(super) enum Is {
    Same,
    Other,
    Unknown,
}

/// Work that has to be done without the lock.
#[derive(Debug)]
pub(super) enum Missing {
    /// To compare with keys that were met.
    Comparison,
    /// To make a key that can be stored.
    Key,
}

/// A key that is asked for, where keys are stored as `S`.
pub(super) trait Key<S> {
    /// Begins to look for it. Called under the lock.
    fn begin(&mut self) {}

    /// Whether a stored key is this one. Called under the lock.
    fn is(&mut self, stored: &S) -> Is;

    /// This key, to be stored; `None` if it is still to be made. Called under the lock.
    fn own(&mut self) -> Option<S>;

    /// Takes a key that is not stored any longer, and drops it when there is no lock, if that is code of others.
    fn discard(&mut self, stored: S) {
        drop(stored);
    }

    /// Does what was missing. Called without the lock.
    fn provide(&mut self, missing: Missing) {
        unreachable!("{missing:?} of a key that is stored as it is");
    }
}

/// Whether `Hash`, `Eq`, `Clone` and `Drop` of a type are known to run no code of others.
///
/// Names are no more than a hint: a type that is not recognized costs time, and no promise. One of the same name
/// would have to stand in a crate that is called `alloc` or `core`.
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

/// A key of a plain type.
pub(super) struct Plain<'a, Q: ?Sized>(pub(super) &'a Q);

impl<K: Borrow<Q>, Q: Eq + ToOwned<Owned = K> + ?Sized> Key<K> for Plain<'_, Q> {
    #[inline]
    fn is(&mut self, stored: &K) -> Is {
        if stored.borrow() == self.0 { Is::Same } else { Is::Other }
    }

    fn own(&mut self) -> Option<K> {
        Some(self.0.to_owned())
    }
}

/// A key of a plain type that is to be stored itself.
pub(super) struct Given<K>(pub(super) Option<K>);

impl<K: Eq> Key<K> for Given<K> {
    fn is(&mut self, stored: &K) -> Is {
        if self.0.as_ref() == Some(stored) { Is::Same } else { Is::Other }
    }

    fn own(&mut self) -> Option<K> {
        self.0.take()
    }
}

/// A key of any other type.
pub(super) struct Shared<'a, K, Q: ?Sized> {
    key: &'a Q,
    make: Option<fn(&Q) -> K>,
    own: Option<Arc<K>>,
    /// The stored key that is this one.
    same: Option<Arc<K>>,
    /// Stored keys that are others, though they have the same tag; in the order in which they were met.
    others: Vec<Arc<K>>,
    /// The number of them that were met in this search.
    passed: usize,
    /// Keys that were met, and are to be compared.
    met: Vec<Arc<K>>,
    discarded: Vec<Arc<K>>,
}

impl<'a, K, Q: ?Sized> Shared<'a, K, Q> {
    /// One that is made when it is to be stored.
    pub(super) fn new(key: &'a Q, make: fn(&Q) -> K) -> Self {
        Self { make: Some(make), ..Self::sought(key) }
    }

    /// One that is to be stored itself.
    pub(super) fn given(key: &'a Q, own: Arc<K>) -> Self {
        Self { own: Some(own), ..Self::sought(key) }
    }

    /// One that is there, or is not to be stored.
    pub(super) fn sought(key: &'a Q) -> Self {
        Self {
            key,
            make: None,
            own: None,
            same: None,
            others: vec![],
            passed: 0,
            met: vec![],
            discarded: vec![],
        }
    }
}

impl<K: Borrow<Q>, Q: Eq + ?Sized> Key<Arc<K>> for Shared<'_, K, Q> {
    fn begin(&mut self) {
        self.passed = 0;
    }

    fn is(&mut self, stored: &Arc<K>) -> Is {
        let is = |known: &Arc<K>| Arc::ptr_eq(known, stored);
        if self.same.as_ref().is_some_and(is) {
            return Is::Same;
        }
        // Mostly it is the next one.
        let next = self.others.get(self.passed).is_some_and(is).then_some(self.passed);
        if let Some(place) = next.or_else(|| self.others.iter().position(is)) {
            self.passed = place + 1;
            return Is::Other;
        }
        self.met.push(Arc::clone(stored));
        Is::Unknown
    }

    fn own(&mut self) -> Option<Arc<K>> {
        self.own.clone()
    }

    fn discard(&mut self, stored: Arc<K>) {
        self.discarded.push(stored);
    }

    fn provide(&mut self, missing: Missing) {
        match missing {
            Missing::Comparison => {
                for met in mem::take(&mut self.met) {
                    if (*met).borrow() == self.key {
                        self.same = Some(met);
                        break;
                    }
                    self.others.push(met);
                }
            }
            Missing::Key => self.own = self.make.map(|make| Arc::new(make(self.key))),
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
