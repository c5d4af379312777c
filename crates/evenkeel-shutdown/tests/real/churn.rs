//! Runs that start and end while signals come, with wakers that call into the crate.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Wake, Waker},
    time::Duration,
};

use evenkeel_shutdown::{Report, Shutdown};
use tokio::{runtime::Builder, task::yield_now};

use crate::process::{Program, STARTED};

const ROUNDS: &str = "EVENKEEL_ROUNDS";

type Run = Pin<Box<dyn Future<Output = Report> + Send>>;

/// Drops runs of others, and calls the whole API.
struct Nosy {
    runs: Arc<Mutex<Vec<Run>>>,
    woken: Arc<AtomicUsize>,
}

impl Wake for Nosy {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Ordering::Relaxed);
        let run = self.runs.lock().expect("nobody panics with it").pop();
        drop(run);
        Shutdown::disarm();
        drop(Shutdown::new());
    }
}

async fn server(stop: evenkeel_shutdown::Stop) {
    stop.draining().await;
}

/// One run in a task, which its own task stops, and another one that is dropped.
async fn round(nosy: Arc<Nosy>, number: usize) {
    let waker = Waker::from(nosy.clone());
    let mut other: Run = Box::pin(Shutdown::new().task("server", server).run());
    let _ = other.as_mut().poll(&mut Context::from_waker(&waker));
    nosy.runs.lock().expect("nobody panics with it").push(other);
    let shutdown = Shutdown::new().task("server", server).task("end", async move |stop| {
        for _ in 0..number % 5 {
            yield_now().await;
        }
        stop.drain("enough");
    });
    let handle = shutdown.handle();
    let mut wait = pin!(handle.stop().draining());
    let _ = wait.as_mut().poll(&mut Context::from_waker(&waker));
    let report = shutdown.run().await;
    assert_eq!(report.exit_code(), 0, "{report}");
}

#[test]
#[ignore = "a program"]
fn churns() {
    if std::env::var_os(STARTED).is_some() {
        let rounds: usize = std::env::var(ROUNDS).ok().and_then(|n| n.parse().ok()).expect("it is set");
        // This run listens to all signals, so that none ends the process.
        let keeper = Shutdown::new().signal_window(Duration::MAX).grace(Duration::from_secs(3600));
        let runtime = Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("a runtime");
        println!("ready");
        let woken = runtime.block_on(async {
            let nosy = Arc::new(Nosy { runs: Arc::default(), woken: Arc::default() });
            let churning: Vec<_> = (0..8)
                .map(|_| {
                    let nosy = nosy.clone();
                    tokio::spawn(async move {
                        for number in 0..rounds {
                            round(nosy.clone(), number).await;
                        }
                    })
                })
                .collect();
            for task in churning {
                task.await.expect("no round fails");
            }
            nosy.woken.load(Ordering::Relaxed)
        });
        println!("woken: {woken}");
        drop(keeper);
        std::process::exit(0);
    }
}

pub(crate) async fn churn(rounds: usize) {
    let mut program = Program::start_with("churn::churns", &[(ROUNDS, &rounds.to_string())]);
    program.prints("ready").await;
    for name in ["TERM", "INT"].into_iter().cycle().take(200) {
        program.train(&[(name, 2)]).await;
    }
    assert_ne!(program.tells("woken: ").await, "0");
    assert_eq!(program.ends().await, (Some(0), String::new()));
}

#[tokio::test]
#[ignore = "real tier"]
async fn runs_that_come_and_go_hang_nowhere() {
    churn(500).await;
}
