//! A hundred thousand tasks, ten thousand of which wait, while two workers are busy.

use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use evenkeel_inspect::{Dump, dump};
use evenkeel_limit::ConcurrencyLimiter;
use evenkeel_pool::Pool;
use evenkeel_task::{BoxError, group};
use rustix::time::{ClockId, clock_gettime};
use tokio::{runtime::Builder, spawn, task::yield_now, time::sleep};

use crate::units::{Units, pool, secs};

const GROUPS: usize = 100;
const TASKS: usize = 1_000;
/// Of each group, those that wait: the half of them for an object of its pool, and the others for what all share.
const WAITING: usize = 100;
const DUMPS: usize = 50;
const LONG: Duration = Duration::from_secs(86_400);

/// Starts the program, whose tasks wait or sleep.
async fn start() {
    let shared = pool("shared", 1);
    let calls = Arc::new(ConcurrencyLimiter::new(1).named("calls"));
    for _ in 0..GROUPS {
        let (shared, calls) = (shared.clone(), Arc::clone(&calls));
        spawn(group(async move |g| {
            let own = pool("own", 1);
            let _kept = own.get().await;
            for index in 0..TASKS {
                let (own, shared, calls) = (own.clone(), shared.clone(), Arc::clone(&calls));
                g.task("worker").spawn(async move {
                    match index {
                        _ if index >= WAITING => sleep(LONG).await,
                        _ if index % 2 == 0 => drop(own.get().await),
                        _ if index % 4 == 1 => {
                            let _held = shared.get().await;
                            sleep(LONG).await;
                        }
                        _ => {
                            let _held = calls.acquire_owned(1).await;
                            sleep(LONG).await;
                        }
                    }
                });
            }
            sleep(LONG).await;
            Ok::<(), BoxError>(())
        }));
    }
}

/// The numbers of tasks that wait for a resource, and of all.
fn counts(dump: &Dump) -> (usize, usize) {
    let waiting = dump.resources.iter().map(|resource| resource.waiters.len()).sum();
    (waiting, dump.groups.iter().map(|group| group.tasks.len()).sum())
}

/// The time for which this thread has run, and that for which it was ready and had no processor.
fn thread_times() -> (Duration, Duration) {
    let cpu = clock_gettime(ClockId::ThreadCPUTime);
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let delay = stat.split(' ').nth(1).unwrap().parse().unwrap();
    let cpu = Duration::new(cpu.tv_sec.unsigned_abs(), u32::try_from(cpu.tv_nsec).unwrap());
    (cpu, Duration::from_nanos(delay))
}

/// Does what a busy program does with the objects that the dump looks at, and returns the longest time for which a worker was
/// stopped in it: neither running nor waiting for a processor.
#[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
async fn load(own: Pool<Units>, is_over: Arc<AtomicBool>) -> Vec<Duration> {
    let (mut stops, calls) = (Vec::new(), ConcurrencyLimiter::new(4).named("load"));
    let run = group(async |g| {
        while !is_over.load(Relaxed) {
            let (begun, (cpu, delay)) = (Instant::now(), thread_times());
            for _ in 0..100 {
                drop(own.try_get());
                drop(calls.try_acquire());
                g.spawn(yield_now());
            }
            let ((cpu_then, delay_then), wall) = (thread_times(), begun.elapsed());
            stops.push(wall.saturating_sub(cpu_then - cpu).saturating_sub(delay_then - delay));
            yield_now().await;
        }
        Ok(())
    });
    run.await.unwrap();
    stops
}

#[test]
#[ignore = "soak"]
#[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
fn a_dump_of_a_hundred_thousand_tasks_under_load() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        start().await;
        // All wait but one for each of what is shared.
        let waiting = GROUPS * WAITING - 2;
        while counts(&dump()) != (waiting, GROUPS * TASKS) {
            yield_now().await;
        }
        for is_looked_at in [false, true] {
            let is_over = Arc::new(AtomicBool::new(false));
            let loads: Vec<_> = (0..2).map(|_| spawn(load(pool("load", 8), Arc::clone(&is_over)))).collect();
            let times = Arc::new(Mutex::new(Vec::new()));
            let looker = thread::spawn({
                let times = Arc::clone(&times);
                move || {
                    for _ in 0..DUMPS {
                        let (begun, (cpu, _)) = (Instant::now(), thread_times());
                        if is_looked_at {
                            let dump = dump();
                            times.lock().unwrap().push((begun.elapsed(), thread_times().0 - cpu));
                            let (waits, tasks) = counts(&dump);
                            assert_eq!(waits, waiting, "waits are there all the time");
                            assert!(tasks >= GROUPS * TASKS, "{tasks}");
                            assert!(dump.findings.is_empty(), "{}", dump.findings[0]);
                        }
                        thread::sleep(Duration::from_millis(20));
                    }
                }
            });
            while !looker.is_finished() {
                sleep(Duration::from_millis(10)).await;
            }
            looker.join().unwrap();
            is_over.store(true, Relaxed);
            let mut stops = Vec::new();
            for load in loads {
                stops.extend(load.await.unwrap());
            }
            println!("{}", if is_looked_at { "with dumps:" } else { "without dumps:" });
            let (mut walls, mut cpus): (Vec<_>, Vec<_>) = times.lock().unwrap().iter().copied().unzip();
            tell("  a dump", &mut walls);
            tell("  processor time of a dump", &mut cpus);
            tell("  a worker was stopped", &mut stops);
        }
    });
    runtime.shutdown_timeout(secs(60));
}

fn tell(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    if let (Some(max), len) = (times.last(), times.len()) {
        println!(
            "{what}: median {:?}, 99.9 % {:?}, longest {max:?} of {len}",
            times[len / 2],
            times[len * 999 / 1_000]
        );
    }
}
