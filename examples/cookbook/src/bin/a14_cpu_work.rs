//! Where do I run work that keeps a processor busy? On a `Blocking` with one slot for each processor: nothing is
//! pickled, and the tasks of the runtime go on meanwhile.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::thread::available_parallelism;

use evenkeel_task::{Blocking, BoxError, group};
use tokio::sync::mpsc;

fn primes(below: u32) -> usize {
    (2..below).filter(|n| (2..=n.isqrt()).all(|d| n % d != 0)).count()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let places = available_parallelism().map_or(1, usize::from);
    let (cpu, (found, mut results)) = (Blocking::new(places), mpsc::channel(8));
    group(async |g| {
        for below in (1..=8).map(|n| n * 5_000) {
            let (cpu, found) = (cpu.clone(), found.clone());
            g.spawn(async move { found.send((below, cpu.run(move |_stop| primes(below)).await)).await });
        }
        drop(found);
        let mut most = 0;
        while let Some((below, count)) = results.recv().await {
            println!("{count} primes below {below}");
            most = most.max(cpu.running());
        }
        println!("never more at a time than processors: {}", most <= places);
        Ok(())
    })
    .await?;
    Ok(())
}
