//! The primitives of the code that [loom](https://docs.rs/loom) runs in every order; its tests replace this module.

pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering, fence},
};

pub(crate) use evenkeel_base::lock;
#[cfg(feature = "inspect")]
pub(crate) use evenkeel_inspect::TaskCell;
