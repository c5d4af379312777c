//! Runtimes of rules in real time, and tasks beside the one under test.

use std::{cell::Cell, rc::Rc, thread, time::Duration};

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

/// Runs this beside another task. Returns the output, and the number of turns that the other task had.
pub(crate) async fn beside<T>(run: impl Future<Output = T>) -> (T, u32) {
    let turns = Rc::new(Cell::new(0));
    let counted = turns.clone();
    let other = spawn_local(async move {
        loop {
            counted.set(counted.get() + 1);
            yield_now().await;
        }
    });
    let output = run.await;
    other.abort();
    (output, turns.get())
}
