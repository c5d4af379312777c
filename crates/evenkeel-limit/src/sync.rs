//! The lock of a limiter; its test in every order of steps replaces this.

pub(crate) use std::sync::{Mutex, MutexGuard};
