#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// file             | holds
// lock.rs          | `lock`
// error_chain.rs   | `error_chain`
// rounded.rs       | `rounded`
// timer.rs         | `sleep_until`, `far_future`, `poll_timer`
// first_panic.rs   | `FirstPanic`
// wake_list.rs     | `WakeList`
// slab.rs          | `Slab`
// linked_queue.rs  | `LinkedQueue`, over a slab
// boxed_in_debug.rs | `boxed_in_debug`
// random.rs        | `Random`, `seed_random`

mod boxed_in_debug;
mod error_chain;
mod first_panic;
mod linked_queue;
mod lock;
mod random;
mod rounded;
mod slab;
mod timer;
mod wake_list;

#[doc(hidden)]
pub use self::{
    boxed_in_debug::boxed_in_debug,
    error_chain::error_chain,
    first_panic::FirstPanic,
    linked_queue::LinkedQueue,
    lock::lock,
    random::{Random, SeedGuard, seed_random},
    rounded::rounded,
    slab::Slab,
    timer::{far_future, poll_timer, sleep_until},
    wake_list::WakeList,
};
