//! Polling of timers.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll},
};

use tokio::{task::coop::unconstrained, time::Sleep};

/// Polls a timer outside the cooperative budget of the tokio task: an operation that always has work uses the budget up
/// in each poll, and its time limit would never be noticed.
pub(crate) fn poll_timer(timer: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
    pin!(unconstrained(timer)).poll(cx)
}
