//! The primitives of the code that [loom](https://docs.rs/loom) runs in every order; its tests replace this module.

pub(super) use std::sync::atomic::{AtomicU64, Ordering};
