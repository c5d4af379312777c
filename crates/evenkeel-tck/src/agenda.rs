//! The timers of the suite itself: `sleep` and `timeout` of tokio, whose deadlines are known while they are set.
//!
//! Tokio does not tell when its next timer is due. An implementation in another process has a virtual clock of its own, and
//! may run on until the suite has something to say, and no longer: the suite has to know its own next timer.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{self, Instant, error::Elapsed};

thread_local! {
    static SET: RefCell<BTreeSet<(Instant, u64)>> = const { RefCell::new(BTreeSet::new()) };
    static NUMBER: Cell<u64> = const { Cell::new(0) };
}

/// A deadline that is known while this lives.
///
/// On another thread than its own it stays known, which costs a look at a time when nothing is due.
struct Due(Option<(Instant, u64)>);

impl Due {
    fn after(time: Duration) -> Self {
        let entry = Instant::now().checked_add(time).map(|at| {
            let number = NUMBER.get();
            NUMBER.set(number + 1);
            (at, number)
        });
        if let Some(entry) = entry {
            SET.with_borrow_mut(|set| set.insert(entry));
        }
        Self(entry)
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        if let Some(entry) = self.0 {
            let _ = SET.try_with(|set| set.borrow_mut().remove(&entry));
        }
    }
}

/// The next deadline after this time, of all that are set on this thread. One that has passed waits for nothing but a poll.
pub(crate) fn next_after(now: Instant) -> Option<Instant> {
    SET.with_borrow(|set| set.range((now, u64::MAX)..).next().map(|(at, _)| *at))
}

/// As `tokio::time::Sleep`.
pub(crate) struct Sleep {
    timer: Pin<Box<time::Sleep>>,
    _due: Due,
}

/// As `tokio::time::sleep`.
pub(crate) fn sleep(time: Duration) -> Sleep {
    Sleep { timer: Box::pin(time::sleep(time)), _due: Due::after(time) }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.as_mut().poll(cx)
    }
}

/// As `tokio::time::timeout`.
pub(crate) async fn timeout<F: Future>(time: Duration, future: F) -> Result<F::Output, Elapsed> {
    let _due = Due::after(time);
    time::timeout(time, future).await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use evenkeel_testkit::World;
    use tokio::time::Instant;

    use super::{next_after, sleep, timeout};

    #[test]
    fn a_deadline_is_known_while_its_timer_is_set() {
        World::run(async |_| {
            let start = Instant::now();
            let [one, two] = [1, 2].map(Duration::from_secs);
            let later = sleep(two);
            assert_eq!(next_after(start), Some(start + two));
            let limited = timeout(one, async { next_after(start) }).await;
            assert_eq!(limited, Ok(Some(start + one)));
            assert_eq!(next_after(start), Some(start + two));
            later.await;
            assert_eq!((next_after(start), start.elapsed()), (None, two));
            let _endless = sleep(Duration::MAX);
            assert_eq!(next_after(start), None);
        });
    }
}
