//! The atomics of [`bucket`](crate::bucket); its loom tests replace them by loom's.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
