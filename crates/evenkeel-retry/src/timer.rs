use std::{
    pin::{Pin, pin},
    task::{Context, Poll},
};

use tokio::{task::coop::unconstrained, time::Sleep};

/// Polls a timer without regard to the budget of tokio's task: an operation that is never short of work uses that up
/// each time, and its time limit would not be seen to be over.
pub(crate) fn poll_timer(timer: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
    pin!(unconstrained(timer)).poll(cx)
}
