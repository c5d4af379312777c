//! Futures that are dropped at each of their awaits, with real servers: after one poll, after two, and so on to the end.

use std::{
    future::poll_fn,
    pin::pin,
    task::Poll::{Pending, Ready},
};

/// The most awaits of a call.
const MOST: usize = 500;

/// Polls a future as often as this, each time when it was woken, and drops it. Returns its output if it ends before.
pub(crate) async fn polled<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|cx| {
        if left == 0 {
            return Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Ready(output) => Ready(Some(output)),
            Pending if left == 0 => Ready(None),
            Pending => Pending,
        }
    })
    .await
}

/// Runs a call that is dropped after so many polls, with one more each time, until it ends. It returns whether it did.
pub(crate) async fn at_each_await(mut call: impl AsyncFnMut(usize) -> bool) {
    for times in 0..MOST {
        if call(times).await {
            assert!(times > 1, "it waits for nothing");
            return;
        }
    }
    panic!("it does not end within {MOST} polls");
}
