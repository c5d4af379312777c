//! Stand-in while the real World is being written: same signatures.
use std::{future::Future, time::Duration};
use tokio::time::Instant;

/// A fresh, paused, current-thread runtime for one test.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct World {}

impl World {
    /// Runs `body` in a fresh world.
    pub fn run<F, Fut>(body: F) -> Fut::Output
    where
        F: FnOnce(World) -> Fut,
        Fut: Future,
    {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime")
            .block_on(body(World {}))
    }
}

/// The output of `future`, and the virtual time that it took.
pub async fn took<F: Future>(future: F) -> (F::Output, Duration) {
    let start = Instant::now();
    let output = future.await;
    (output, start.elapsed())
}

/// Awaits a future, asserts that it took exactly this virtual time, and gives its output.
#[macro_export]
macro_rules! assert_took {
    ($future:expr, $expected:expr) => {{
        let (output, took) = $crate::took($future).await;
        assert_eq!(took, $expected);
        output
    }};
}
