//! One quota for several processes, over stores in memory, in virtual time.

mod cancel;
mod compiles;
mod every_store;
mod every_window;
mod faults;
pub(crate) mod fixtures;
mod hostile;
mod leases;
pub(crate) mod misconfigured;
mod on_failure;
mod rate_bound;
