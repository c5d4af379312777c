//! The re-exports of tokio-test work.

use evenkeel_testkit::{assert_pending, assert_ready_eq, task};
use tokio::sync::oneshot;

#[test]
fn a_future_is_polled_by_hand() {
    let (send, receive) = oneshot::channel();
    let mut receive = task::spawn(receive);
    assert_pending!(receive.poll());
    send.send(42).unwrap();
    assert!(receive.is_woken());
    assert_ready_eq!(receive.poll(), Ok(42));
}
