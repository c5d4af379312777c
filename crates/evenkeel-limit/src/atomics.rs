//! What [`lane`](crate::lane) is made of; its test in every order of steps replaces this.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering, fence};
