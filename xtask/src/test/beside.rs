//! Suites that run beside each other.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

/// The suites that run at the same time: one that waits, or has one long test left, leaves a core to the next.
const BESIDE: usize = 2;

/// Runs each suite once, as many at a time, and returns how they ended, in the order of their ends.
pub(super) fn run_beside<S: Sync, E: Send>(suites: &[S], run: impl Fn(&S) -> E + Sync) -> Vec<E> {
    let (left, ended) = (Mutex::new(suites.iter()), Mutex::new(Vec::new()));
    let next = || lock(&left).next();
    let work = || {
        while let Some(suite) = next() {
            let end = run(suite);
            lock(&ended).push(end);
        }
    };
    thread::scope(|scope| {
        for _ in 0..BESIDE {
            scope.spawn(work);
        }
    });
    ended.into_inner().unwrap_or_else(PoisonError::into_inner)
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
        let mut ended = run_beside(&[3, 1, 2, 4], |suite| {
            // One alone would wait for ever.
            together.wait();
            suite * 10
        });
        ended.sort_unstable();
        assert_eq!(ended, [10, 20, 30, 40]);
        assert!(run_beside(&[], |_: &u8| ()).is_empty());
    }
}
