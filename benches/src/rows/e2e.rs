//! End to end: calls over real sockets to a server in another process, in real time.

use std::{future::pending, hint::black_box, rc::Rc, sync::Arc, time::Duration};

use evenkeel::{limit::RateLimiter, retry::Policy, stream::prelude::*};
use futures::StreamExt as _;

use crate::{
    measure::{Sample, measured},
    python,
    row::{FLOOR, Metric, OURS, Row},
    server::Server,
};

const CALLS: u64 = 1000;
const LATENCY: Duration = Duration::from_millis(200);
/// The number of calls that wait at once, where memory is measured.
const PENDING: u64 = 10_000;

static POLICY: Policy = Policy::exponential(Duration::from_millis(100), Duration::from_secs(5));

pub(crate) fn rows() -> Vec<Row> {
    vec![calls(100), calls(1000), memory()]
}

/// Makes a fixed list of calls; ours with a retry policy and a rate limit around each of them.
fn calls(limit: usize) -> Row {
    let server = Rc::new(std::cell::OnceCell::new());
    let url = move || -> Rc<Server> {
        server.get_or_init(|| Rc::new(Server::start(LATENCY).expect("a server on loopback"))).clone()
    };
    let rounds = CALLS.div_ceil(limit as u64);
    let floor = Sample { wall: LATENCY * u32::try_from(rounds).unwrap_or(u32::MAX), ..Sample::default() };
    let (ours, bare) = (url.clone(), url.clone());
    let mut row = Row::new(format!("e2e/1000x200ms/{limit}"), Metric::Wall)
        .also(Metric::Cpu)
        .target(1.2)
        .rounds(5)
        .not_counted("calls over sockets, to a server in another process")
        .with_round(OURS, Box::new(move |_| client(&ours().url, |client, url| evenkeel(client, url, limit))))
        .with_round(
            "reqwest, buffer_unordered",
            Box::new(move |_| client(&bare().url, |client, url| futures(client, url, limit))),
        )
        .with_round(FLOOR, Box::new(move |_| floor));
    for peer in ["aiohttp", "httpx"] {
        let url = url.clone();
        let run = move |_| python::calls(peer, &url().url, CALLS, limit).expect("a Python peer that works");
        row = row.with_python(peer, Box::new(run));
    }
    row
}

/// Makes a runtime and a client for each round, as a program has them.
///
/// The wall time is that of the calls; the processor time is that of the whole program, as for the Python peers.
fn client<F, Fut>(url: &str, work: F) -> Sample
where
    F: FnOnce(reqwest::Client, Arc<str>) -> Fut,
    Fut: Future<Output = u64> + Send + 'static,
{
    let mut wall = Duration::ZERO;
    let program = measured(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime for a benchmark");
        let client = reqwest::Client::builder().no_proxy().build().expect("a client without surprises");
        let done = work(client, url.into());
        let calls = measured(|| {
            let made = runtime.block_on(async { tokio::spawn(done).await }).expect("calls that do not panic");
            assert_eq!(made, CALLS, "every call is answered");
        });
        wall = calls.wall;
    });
    Sample { wall, ..program }
}

async fn get(client: &reqwest::Client, url: &str) -> reqwest::Result<usize> {
    Ok(client.get(url).send().await?.error_for_status()?.bytes().await?.len())
}

async fn evenkeel(client: reqwest::Client, url: Arc<str>, limit: usize) -> u64 {
    let limiter = Arc::new(RateLimiter::per_second(1_000_000));
    let answers = futures::stream::iter(0..CALLS).par_map(limit, async move |_| {
        limiter.acquire().await;
        POLICY.run(|| get(&client, &url)).when(reqwest::Error::is_connect).await
    });
    answers.filter(|answer| std::future::ready(answer.is_ok())).count().await as u64
}

async fn futures(client: reqwest::Client, url: Arc<str>, limit: usize) -> u64 {
    let calls = futures::stream::iter(0..CALLS).map(|_| get(&client, &url));
    calls.buffer_unordered(limit).filter(|answer| std::future::ready(answer.is_ok())).count().await as u64
}

/// The memory of a call that waits, beside the call itself: a retried, limited call on a task, and a bare task.
fn memory() -> Row {
    Row::new("e2e/memory-per-pending-call", Metric::Bytes)
        .rounds(5)
        .fixed(PENDING)
        .with_round(
            OURS,
            Box::new(|n| {
                waiting(n, || async {
                    black_box(POLICY.run(pending::<Result<(), ()>>).await).ok();
                })
            }),
        )
        .with_round("tokio::spawn", Box::new(|n| waiting(n, pending::<()>)))
        .with_python("asyncio", Box::new(|n| python::pending(n).expect("a Python peer that works")))
}

fn waiting<F, Fut>(count: u64, call: F) -> Sample
where
    F: Fn() -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime for a benchmark");
    let mut tasks = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    let sample = measured(|| {
        runtime.block_on(async {
            (0..count).for_each(|_| tasks.push(tokio::spawn(call())));
            tokio::task::yield_now().await;
        });
    });
    drop(runtime);
    sample
}
