//! Long histories, crowds and threads.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "it uses a part of what the other tier has")]

mod crowd;
#[path = "../it/explorer.rs"]
mod explorer;
#[path = "../it/scripted.rs"]
mod scripted;
mod two_threads;

#[test]
#[ignore = "soak"]
fn no_history_of_five_steps_loses_anything() {
    explorer::explore(5);
}
