//! The promises of evenkeel-base.

mod error_chain;
mod first_panic;
mod linked_queue;
mod random;
mod slab;
mod timer;
mod wake_list;
