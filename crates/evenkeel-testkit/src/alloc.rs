//! Counts of allocations.
//!
//! Only the allocator of a process can count them, and only the binary can choose it:
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
//! It counts for the whole process, including other tests that run at the same time. So such a test needs its own
//! binary, `tests/alloc/main.rs`, with one `#[test]` in it.

pub use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// The number of allocations and reallocations of this process so far.
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

/// Evaluates an expression, asserts the number of allocations of the process meanwhile, and returns its value.
///
/// The number follows a comparison: `<= 7`, `== 0`. In async code the expression may await. See
/// [`alloc`](crate::alloc) for the allocator that the binary must set, and why the test needs its own binary.
///
/// # Panics
///
/// If the comparison fails; and where [`count`] does.
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
