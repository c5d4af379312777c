//! What the limiter promises, on its public API and on tokio's clock.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod adaptive;
mod api;
mod cancel;
mod concurrency;
mod histories;
mod instruments;
mod model;
mod numbers;
mod queue;
mod rate_change;
mod runtimes;
mod steering;
mod threads;
mod windows;
