//! Several threads at once.

use std::thread;

use tokio::task::yield_now;

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "POOL-90" threads pool_90 "On several threads, with waits that are dropped, no object has two users, and every caller is served."),
];

fn pool_90(subject: &Subject) -> Checked {
    const CALLERS: u32 = 32;
    const ROUNDS: u32 = 40;
    let threads = runtime(Builder::new_multi_thread().worker_threads(4).enable_time())?;
    let run = threads.block_on(async { Run::start(subject, &Settings::of(3)) })?;
    let record = run.backend.record().clone();
    let ended = threads.block_on(async move {
        let mut callers = Vec::new();
        for caller in 0..CALLERS {
            let gets: Vec<_> = (0..2 * ROUNDS).map(|round| run.get(caller * 1000 + round)).collect();
            callers.push(run.spawn(async move {
                for (round, mut get) in gets.into_iter().enumerate() {
                    // Each second one is given up after its first poll, if it waits.
                    let answer = if round % 2 == 0 { poll_once(&mut get).await } else { Some(get.await) };
                    yield_now().await;
                    drop(answer);
                }
            }));
        }
        let all = async {
            for caller in callers {
                drop(caller.await);
            }
        };
        timeout(secs(3), all).await.is_ok()
    });
    // A task that hangs in a poll is not waited for.
    thread::spawn(move || drop(threads));
    let (shared, peak, denied) = (record.shared(), record.peak_size(), record.denied().len());
    if ended && shared.is_none() && peak <= 3 && denied == 0 {
        return Ok(());
    }
    let got =
        format!("an end: {ended}, an object with two users: {shared:?}, {peak} objects, {denied} errors");
    Err(Verdict::fail("an end within 3s of real time, no object with two users, 3 objects and no error", got))
}
