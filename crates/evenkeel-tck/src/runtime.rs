//! Runtimes of rules in real time, and tasks beside the one under test.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use tokio::{
    runtime::{Builder, Runtime},
    task::{spawn_local, yield_now},
};

use crate::{Verdict, verdict::Checked};

/// Builds a runtime, which takes real time.
pub(crate) fn runtime(builder: &mut Builder) -> Checked<Runtime> {
    builder.build().map_err(|error| Verdict::Untested(format!("no runtime: {error}")))
}

/// Sleeps for a real time. A park alone may end sooner.
#[expect(clippy::disallowed_methods, reason = "a blocking call takes real time")]
pub(crate) fn park_for(time: Duration) {
    thread::sleep(time);
}

/// Runs this in a thread, on this runtime, until it ends or has no new round within a limit of real time: then it is left
/// behind, and the output is `None`. A panic is the value of an error. A slow machine needs no more than one round in that time.
pub(crate) fn run_while_it_goes_on<T: Send + 'static>(
    runtime: Runtime,
    limit: Duration,
    mut rounds: impl FnMut() -> u32,
    run: impl Future<Output = T> + Send + 'static,
) -> Option<thread::Result<T>> {
    let (told, output) = mpsc::channel();
    thread::spawn(move || {
        let output = catch_unwind(AssertUnwindSafe(|| runtime.block_on(run)));
        runtime.shutdown_background();
        let _ = told.send(output);
    });
    let mut before = rounds();
    loop {
        match output.recv_timeout(limit) {
            Ok(output) => return Some(output),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return None,
        }
        let now = rounds();
        if now == before {
            return None;
        }
        before = now;
    }
}

/// Runs this beside another task. Returns the output, and the number of turns that the other task had.
pub(crate) async fn beside<T>(run: impl Future<Output = T>) -> (T, u32) {
    let turns = Rc::new(Cell::new(0));
    let other = spawn_local(take_turns(turns.clone()));
    let output = run.await;
    other.abort();
    (output, turns.get())
}

async fn take_turns(counted: Rc<Cell<u32>>) {
    loop {
        counted.set(counted.get() + 1);
        yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::{Arc, Barrier},
    };

    use super::*;

    fn workers() -> Runtime {
        Builder::new_multi_thread().worker_threads(1).build().expect("the system can make a runtime")
    }

    #[test]
    fn a_run_has_all_the_time_in_which_it_goes_on() {
        // Each look at the rounds is the end of one limit: the run ends only after the third.
        let ends = Arc::new(Barrier::new(2));
        let (run, mut limits) = (ends.clone(), 0);
        let look = || {
            limits += 1;
            if limits == 4 {
                ends.wait();
            }
            limits
        };
        let output = run_while_it_goes_on(workers(), Duration::from_millis(1), look, async move {
            run.wait();
            7
        });
        assert!(matches!(output, Some(Ok(7))));
        assert!(limits >= 4, "{limits}");
    }

    #[test]
    fn a_run_that_stands_still_is_left_behind() {
        let output = run_while_it_goes_on(workers(), Duration::from_millis(1), || 3, pending::<()>());
        assert!(output.is_none());
    }

    #[test]
    fn a_panic_is_given_back() {
        let told = async { panic!("no pool of that name") };
        let output = run_while_it_goes_on(workers(), Duration::from_secs(60), || 0, told);
        let payload = output.expect("it has ended").expect_err("it has panicked");
        assert_eq!(payload.downcast_ref(), Some(&"no pool of that name"));
    }
}
