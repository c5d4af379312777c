//! A hundred thousand tasks, ten thousand of which wait, while two workers are busy.
//!
//! # How it works
//!
//! On two processors a thread beside two busy workers has to wait for its turns, and they for theirs, whatever it does. So rounds of
//! dumps alternate with rounds of a thread that spends the same processor time on nothing, and with rounds without one: what
//! the dumps take beyond the second is theirs.

use std::{
    fs,
    hint::black_box,
    sync::{
        Arc,
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
/// The rounds of each kind, and the dumps, or what is in their place, in each.
const ROUNDS: usize = 5;
const TURNS: usize = 10;
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

/// A moment, with the time for which this thread has run, and that for which it was ready and had no processor.
#[derive(Clone, Copy)]
struct Moment {
    at: Instant,
    cpu: Duration,
    delay: Duration,
}

impl Moment {
    #[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
    fn now() -> Self {
        loop {
            let (delay, at, cpu) = (delay(), Instant::now(), clock_gettime(ClockId::ThreadCPUTime));
            // It had the processor all the time between: the three are of one moment.
            if delay == self::delay() {
                let cpu = Duration::new(cpu.tv_sec.unsigned_abs(), u32::try_from(cpu.tv_nsec).unwrap());
                return Self { at, cpu, delay };
            }
        }
    }

    fn cpu_since(&self) -> Duration {
        Self::now().cpu - self.cpu
    }

    /// Returns the time since then in which this thread neither ran nor waited for a processor.
    fn stopped_since(&self) -> Duration {
        let now = Self::now();
        (now.at - self.at).saturating_sub(now.cpu - self.cpu).saturating_sub(now.delay - self.delay)
    }
}

fn delay() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').nth(1).unwrap().parse().unwrap())
}

/// Does what a busy program does with the objects that the dump looks at, and returns the times for which a worker was
/// stopped in it: neither running nor waiting for a processor.
async fn load(own: Pool<Units>, is_over: Arc<AtomicBool>) -> Vec<Duration> {
    let (mut stops, calls) = (Vec::new(), ConcurrencyLimiter::new(4).named("load"));
    let run = group(async |g| {
        while !is_over.load(Relaxed) {
            let begun = Moment::now();
            for _ in 0..100 {
                drop(own.try_get());
                drop(calls.try_acquire());
                g.spawn(yield_now());
            }
            stops.push(begun.stopped_since());
            yield_now().await;
        }
        Ok(())
    });
    run.await.unwrap();
    stops
}

/// The thread beside the workers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Beside {
    Nothing,
    /// A thread that spends the processor time of a dump.
    BusyThread,
    Dumps,
}

#[derive(Default)]
struct Times {
    walls: Vec<Duration>,
    cpus: Vec<Duration>,
    stops: Vec<Duration>,
}

/// Takes a turn, and returns its time and processor time.
#[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
fn turn(beside: Beside, cpu: Duration, waiting: usize) -> Option<(Duration, Duration)> {
    let begun = Moment::now();
    let dump = match beside {
        Beside::Nothing => return None,
        Beside::BusyThread => {
            while begun.cpu_since() < cpu {
                for n in 0..10_000_u32 {
                    black_box(n);
                }
            }
            None
        }
        Beside::Dumps => Some(dump()),
    };
    let took = (begun.at.elapsed(), begun.cpu_since());
    if let Some(dump) = dump {
        let (waits, tasks) = counts(&dump);
        assert_eq!(waits, waiting, "waits are there all the time");
        assert!(tasks >= GROUPS * TASKS, "{tasks}");
        assert!(dump.findings.is_empty(), "{}", dump.findings[0]);
    }
    Some(took)
}

/// Loads the workers for some turns of what is beside them.
#[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
async fn round(beside: Beside, cpu: Duration, waiting: usize, times: &mut Times) {
    let is_over = Arc::new(AtomicBool::new(false));
    let loads: Vec<_> = (0..2).map(|_| spawn(load(pool("load", 8), Arc::clone(&is_over)))).collect();
    let turns = thread::spawn(move || {
        let mut turns = Vec::new();
        for _ in 0..TURNS {
            turns.extend(turn(beside, cpu, waiting));
            thread::sleep(Duration::from_millis(20));
        }
        turns
    });
    while !turns.is_finished() {
        sleep(Duration::from_millis(10)).await;
    }
    let (walls, cpus): (Vec<_>, Vec<_>) = turns.join().unwrap().into_iter().unzip();
    times.walls.extend(walls);
    times.cpus.extend(cpus);
    is_over.store(true, Relaxed);
    for load in loads {
        times.stops.extend(load.await.unwrap());
    }
}

#[test]
#[ignore = "soak"]
fn a_dump_of_a_hundred_thousand_tasks_under_load() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        start().await;
        // All wait but one for each of what is shared.
        let waiting = GROUPS * WAITING - 2;
        while counts(&dump()) != (waiting, GROUPS * TASKS) {
            yield_now().await;
        }
        let mut all =
            [Beside::Dumps, Beside::BusyThread, Beside::Nothing].map(|beside| (beside, Times::default()));
        for _ in 0..ROUNDS {
            let mut cpu = Duration::ZERO;
            for (beside, times) in &mut all {
                round(*beside, cpu, waiting, times).await;
                if *beside == Beside::Dumps {
                    times.cpus.sort_unstable();
                    cpu = times.cpus[times.cpus.len() / 2];
                }
            }
        }
        for (beside, mut times) in all {
            println!("{beside:?}:");
            tell("  a turn", &mut times.walls);
            tell("  processor time of a turn", &mut times.cpus);
            tell("  a worker was stopped", &mut times.stops);
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
