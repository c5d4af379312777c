//! Suites that run beside each other.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

/// The suites that run at the same time: one that waits, or has one long test left, leaves a core to the next.
const BESIDE: usize = 2;

/// Runs each suite once, as many at a time, and returns how they ended, in the order of their ends; the calling thread does
/// something else first, and returns that, too.
pub(super) fn run_beside<S: Sync, E: Send, F>(
    suites: &[S],
    run: impl Fn(&S) -> E + Sync,
    first: impl FnOnce() -> F,
) -> (Vec<E>, F) {
    let (left, ended) = (Mutex::new(suites.iter()), Mutex::new(Vec::new()));
    let next = || lock(&left).next();
    let work = || {
        while let Some(suite) = next() {
            let end = run(suite);
            lock(&ended).push(end);
        }
    };
    let first = thread::scope(|scope| {
        for _ in 1..BESIDE {
            scope.spawn(work);
        }
        let first = first();
        work();
        first
    });
    (ended.into_inner().unwrap_or_else(PoisonError::into_inner), first)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::{BESIDE, run_beside};

    #[test]
    fn each_suite_runs_once_and_two_at_a_time() {
        let together = Barrier::new(BESIDE);
        // One alone would wait for ever.
        let wait = || together.wait();
        let run = |suite: &i32| {
            wait();
            suite * 10
        };
        let (mut ended, ()) = run_beside(&[3, 1, 2, 4], run, || ());
        ended.sort_unstable();
        assert_eq!(ended, [10, 20, 30, 40]);
        assert!(run_beside(&[], |_: &u8| (), || ()).0.is_empty());
    }

    #[test]
    fn something_else_runs_beside_the_suites() {
        let together = Barrier::new(BESIDE);
        let (ended, first) =
            run_beside(&[1], |suite| (together.wait(), *suite).1, || (together.wait(), "docs").1);
        assert_eq!((&*ended, first), (&[1][..], "docs"));
    }
}
