//! Where do I run work that keeps a processor busy? On a `Blocking` with one slot for each processor: nothing is
//! pickled, and the tasks of the runtime go on meanwhile.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::thread::available_parallelism;

use evenkeel_stream::prelude::*;
use evenkeel_task::Blocking;
use futures::{StreamExt as _, stream};

fn primes(below: u32) -> usize {
    (2..below).filter(|n| (2..=n.isqrt()).all(|d| n % d != 0)).count()
}

pub(crate) async fn scenario() {
    let processors = available_parallelism().map_or(1, usize::from);
    let cpu = Blocking::new(processors);
    let counted = stream::iter((1..=4).map(|n| n * 5_000)).par_map(8, async move |below| {
        let count = cpu.run(move |_stop| primes(below)).await;
        assert!(cpu.running() <= processors);
        (below, count)
    });
    let mut counted = counted.ordered();
    while let Some((below, count)) = counted.next().await {
        println!("{count} primes below {below}");
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    scenario().await;
}
