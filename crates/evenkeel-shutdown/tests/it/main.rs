//! Behaviour of evenkeel-shutdown under virtual time, without signals.

mod compiles;
mod cut;
mod manual;
mod model;
mod report;

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

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
