//! Large counts. They print figures, and are run by `cargo xtask soak`.

use std::{
    fmt,
    time::{Duration, Instant},
};

mod http;
mod loopback;
mod quiet;
mod timeline;
mod wiremock;

/// Measures the real time of a call.
#[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
fn wall<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let output = run();
    (output, start.elapsed())
}

#[expect(clippy::print_stdout, reason = "the figures are what a soak is for")]
fn tell(figures: fmt::Arguments<'_>) {
    println!("{figures}");
}

/// The median.
fn median(mut walls: Vec<Duration>) -> Duration {
    walls.sort();
    walls[walls.len() / 2]
}
