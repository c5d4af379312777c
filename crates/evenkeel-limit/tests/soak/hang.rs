//! Timers that fire while they are started: on more threads than there are cores, for a minute.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::Poll,
    thread::available_parallelism,
    time::Duration,
};

use evenkeel_limit::Keyed;
use tokio::{
    runtime::Builder,
    time::{Instant, sleep},
};

const TASKS: u64 = 12;
/// A worker that has served no request for this time hangs.
const STILL: Duration = Duration::from_secs(10);

/// Twelve tasks take 1 to 10 permits of a fast limiter; the future of every third request is dropped after a poll.
pub(crate) fn run(seconds: u64) {
    let workers = 3.max(available_parallelism().map_or(1, std::num::NonZero::get) + 1);
    let runtime = Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap();
    let keyed: Arc<Keyed<u64>> = Arc::new(Keyed::per_second(100_000).burst(50));
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (keyed, stop, served) = (Arc::clone(&keyed), Arc::clone(&stop), Arc::clone(&served));
            runtime.spawn(async move {
                let mut random = task * 7919 + 1;
                while !stop.load(Relaxed) {
                    random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                    let (permits, key) = ((random >> 40) % 10 + 1, (random >> 20) % 2);
                    let mut turn = pin!(keyed.acquire_many(&key, permits as u32));
                    if (random >> 50) % 3 == 0 {
                        poll_fn(|cx| Poll::Ready(turn.as_mut().poll(cx).is_ready())).await;
                    } else {
                        turn.await.unwrap();
                    }
                    served.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    // Watches from a runtime of its own, because that of the tasks may hang.
    let watch = Builder::new_current_thread().enable_time().build().unwrap();
    let hangs = watch.block_on(async {
        let (start, mut last, mut since) = (Instant::now(), 0, Instant::now());
        while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
            sleep(Duration::from_millis(100)).await;
            let now = served.load(Relaxed);
            if now != last {
                (last, since) = (now, Instant::now());
            }
            if since.elapsed() > STILL {
                return true;
            }
            stop.store(start.elapsed() > Duration::from_secs(seconds), Relaxed);
        }
        false
    });
    // Dropping a runtime that hangs would wait for it.
    runtime.shutdown_background();
    assert!(!hangs, "nobody was served after {} requests", served.load(Relaxed));
}
