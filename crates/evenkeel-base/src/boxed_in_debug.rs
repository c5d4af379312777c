//! The type of a future that is spawned.
//!
//! A runtime's code for a task is compiled once more for each type of future: some hundred functions, which take half of the
//! time of an unoptimised build of a program, or of tests, with hundreds of tasks. There, futures with one output are of one type.

#[cfg(debug_assertions)]
use std::pin::Pin;

/// Returns the future, with debug assertions in a box.
#[cfg(debug_assertions)]
pub fn boxed_in_debug<F>(future: F) -> Pin<Box<dyn Future<Output = F::Output> + Send>>
where
    F: Future + Send + 'static,
{
    Box::pin(future)
}

/// Returns the future, with debug assertions in a box.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn boxed_in_debug<F>(future: F) -> F
where
    F: Future + Send + 'static,
{
    future
}
