//! The time limits of a pool.

use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) acquire_timeout: Duration,
    pub(crate) create_timeout: Duration,
    pub(crate) check_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            acquire_timeout: Duration::from_secs(30),
            create_timeout: Duration::from_secs(10),
            check_timeout: Duration::from_secs(5),
        }
    }
}
