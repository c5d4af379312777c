//! The time of one harvest with one, two and four processes, where the work waits for the API.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::{
    server::{Server, document, page},
    team::{Engine, Team, ends},
};

/// The time of an answer.
const LATENCY: Duration = Duration::from_millis(100);
/// The calls in flight of each process.
const CONCURRENCY: u32 = 10;
const USERS: u64 = 1000;
const ON_A_PAGE: u64 = 50;

/// The times of a harvest since its first process was started, in seconds.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    first_call: f64,
    last_call: f64,
    end: f64,
}

/// Lets processes read the same users, and returns the times of it. The processes are built, and not yet started.
async fn harvest(engine: Engine, processes: usize) -> Option<Times> {
    let team = Team::new(engine).await?;
    let start = Instant::now();
    let (first, last) = (Arc::new(AtomicU64::new(u64::MAX)), Arc::new(AtomicU64::new(0)));
    let calls = Arc::new(AtomicU64::new(0));
    let marks = (first.clone(), last.clone(), calls.clone());
    let api = Server::start(move |path: String| {
        let (first, last, calls) = marks.clone();
        async move {
            let now = start.elapsed().as_micros() as u64;
            calls.fetch_add(1, Relaxed);
            first.fetch_min(now, Relaxed);
            sleep(LATENCY).await;
            last.fetch_max(start.elapsed().as_micros() as u64, Relaxed);
            answer(&path)
        }
    })
    .await;
    let flags = format!("--url {} --concurrency {CONCURRENCY}", api.base);
    let began = start.elapsed();
    let workers: Vec<_> = (0..processes).map(|number| team.worker(number, &flags).spawn().unwrap()).collect();
    for worker in workers {
        ends(worker, 0).await;
    }
    let end = start.elapsed();
    assert_eq!(team.report(0)["users"], USERS);
    // Each document is read once, however many processes there are.
    assert_eq!(calls.load(Relaxed), 2 * USERS + USERS.div_ceil(ON_A_PAGE));
    let secs = |micros: u64| micros as f64 / 1e6 - began.as_secs_f64();
    Some(Times {
        first_call: secs(first.load(Relaxed)),
        last_call: secs(last.load(Relaxed)),
        end: (end - began).as_secs_f64(),
    })
}

/// Returns a page or a document of a user.
fn answer(path: &str) -> crate::server::Answer {
    let number = match path.trim_start_matches('/').trim_end_matches(".json").strip_prefix("users") {
        Some("") => 1,
        Some(rest) => match rest.strip_prefix('-') {
            Some(number) => number.parse::<u64>().unwrap(),
            None => return document(path),
        },
        None => return document(path),
    };
    let next = (number * ON_A_PAGE < USERS).then(|| format!("users-{}.json", number + 1));
    page((number - 1) * ON_A_PAGE + 1..=number * ON_A_PAGE, next.as_deref())
}

/// The whole time counts, with the start of the processes and their end.
async fn more_processes_do_more(engine: Engine) {
    let mut all = Vec::new();
    for processes in [1, 2, 4, 1, 2, 4] {
        let Some(times) = harvest(engine, processes).await else { return };
        let calls = 2 * USERS + USERS.div_ceil(ON_A_PAGE);
        let least = calls as f64 * LATENCY.as_secs_f64() / f64::from(CONCURRENCY) / processes as f64;
        println!(
            "{engine:?}, {processes} processes: {:.2} s, the first call after {:.2}, {:.2} after the last answer; between them \
             {:.3} of the slots were in use",
            times.end,
            times.first_call,
            times.end - times.last_call,
            least / (times.last_call - times.first_call),
        );
        all.push(times);
    }
    let time = |index: usize| f64::midpoint(all[index].end, all[index + 3].end);
    let (two, four) = (time(0) / time(1), time(0) / time(2));
    println!("{engine:?}: two processes are {two:.2} times as fast as one, four {four:.2} times");
}

#[tokio::test]
#[ignore = "soak"]
async fn more_processes_do_more_over_postgres() {
    more_processes_do_more(Engine::Postgres).await;
}

#[tokio::test]
#[ignore = "soak"]
async fn more_processes_do_more_over_nats() {
    more_processes_do_more(Engine::Nats214).await;
}
