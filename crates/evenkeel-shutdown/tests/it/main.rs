//! Behaviour of evenkeel-shutdown under virtual time, without signals.

mod cancel;
mod checks;
mod compiles;
mod fixtures;
mod guards;
mod guide;
mod handle;
mod hangs;
mod manual;
mod model;
mod order;
mod phases;
mod report;
mod signals;
mod wakers;

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    time::Duration,
};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A panic that prints nothing.
fn throw(message: &'static str) -> ! {
    resume_unwind(Box::new(message))
}

/// Counts the futures that are alive, by the clones of it that they hold.
type Alive = Arc<()>;

fn alive(alive: &Alive) -> usize {
    Arc::strong_count(alive) - 1
}

/// The message of the panic of `f`, which has to be one.
fn text(f: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(f)).expect_err("it has to panic");
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast::<&str>().map_or_else(|_| String::new(), |text| (*text).to_owned()),
    }
}
