//! What [`bucket`](crate::bucket) is made of; its test in every order of steps replaces this.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
