//! How often a test allocates.
//!
//! Only the allocator of a process can tell, and only the binary can choose it:
//!
//! ```standalone_crate
//! use evenkeel_testkit::{alloc::{INSTRUMENTED_SYSTEM, StatsAlloc}, assert_allocs};
//! use std::alloc::System;
//!
//! #[global_allocator]
//! static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;
//!
//! fn main() {
//!     assert_allocs!(drop(vec![1, 2, 3]), == 1);
//!     let sum = assert_allocs!((1..=3).sum::<u32>(), == 0);
//!     assert_eq!(sum, 6);
//! }
//! ```
//!
//! It counts for the whole process, other tests included that run at the same time. So such a test has a
//! binary of its own, `tests/alloc/main.rs`, with one `#[test]` in it.

pub use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// How often this process has asked for memory so far, to get more of it or anew.
///
/// # Panics
///
/// If [`INSTRUMENTED_SYSTEM`] is not its allocator.
///
/// # Examples
///
/// ```should_panic
/// evenkeel_testkit::alloc::count(); // nothing has set the allocator
/// ```
#[must_use]
#[track_caller]
pub fn count() -> usize {
    let stats = INSTRUMENTED_SYSTEM.stats();
    assert!(
        stats.allocations > 0,
        "allocations are not counted: set `#[global_allocator] static ALLOCATOR: &StatsAlloc<System> = \
         &INSTRUMENTED_SYSTEM;` in this binary"
    );
    stats.allocations + stats.reallocations
}

/// Evaluates an expression, asserts how often the process allocated meanwhile, and gives its value.
///
/// The number follows a comparison: `<= 7`, `== 0`. In async code the expression may await. See
/// [`alloc`](crate::alloc) for what the binary must set, and why it needs to be one of its own.
///
/// # Panics
///
/// If it allocated more often, or less; and where [`count`] does.
///
/// # Examples
///
/// ```standalone_crate
/// use evenkeel_testkit::{World, alloc::{INSTRUMENTED_SYSTEM, StatsAlloc}, assert_allocs};
/// use std::alloc::System;
/// use tokio::sync::Semaphore;
///
/// #[global_allocator]
/// static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;
///
/// fn main() {
///     World::run(async |_| {
///         let semaphore = Semaphore::new(1);
///         let permit = assert_allocs!(semaphore.acquire().await, == 0);
///         assert!(permit.is_ok());
///     });
/// }
/// ```
#[macro_export]
macro_rules! assert_allocs {
    ($work:expr, $comparison:tt $allocations:expr $(,)?) => {{
        let before = $crate::alloc::count();
        let output = $work;
        let allocations = $crate::alloc::count() - before;
        let expected: usize = $allocations;
        ::core::assert!(
            allocations $comparison expected,
            "allocations\n  expected: {} {}\n       got: {}",
            ::core::stringify!($comparison),
            expected,
            allocations,
        );
        output
    }};
}
