//! Small programs that are drawn.

use std::{
    convert::Infallible,
    io,
    sync::{Arc, atomic::AtomicU32},
    time::Duration,
};

use evenkeel_limit::{ConcurrencyLimiter, RateLimiter};
use evenkeel_pool::{Manager, Pool};
use evenkeel_retry::{Backoff, Jitter, Policy};
use evenkeel_shutdown::Shutdown;
use evenkeel_task::{BoxError, Group, Restart, group};
use evenkeel_testkit::{
    World,
    timeline::{self, Timeline},
};
use tokio::time::sleep;

pub(crate) const fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

#[derive(Debug)]
pub(crate) struct Units;

impl Manager for Units {
    type Object = ();
    type Error = Infallible;

    async fn create(&self) -> Result<(), Infallible> {
        sleep(ms(20)).await;
        Ok(())
    }
}

/// Four calls that share two permits.
pub(crate) fn permits() -> Timeline {
    World::timeline(async |_| {
        let api = Arc::new(ConcurrencyLimiter::new(2).named("api"));
        group(async |g: Group| {
            for (name, length) in [("orders", 300), ("prices", 200), ("users", 250), ("stock", 150)] {
                let api = Arc::clone(&api);
                g.task(name).spawn(async move {
                    let _permit = api.acquire().await;
                    sleep(ms(length)).await;
                });
            }
            Ok(())
        })
        .await
        .expect("a result");
    })
    .titled("Four calls, two permits")
}

/// A call that is tried three times.
pub(crate) fn retries() -> Timeline {
    static POLICY: Policy =
        Policy::new(Backoff::exponential(ms(200), Duration::from_secs(10)).jitter(Jitter::None))
            .max_attempts(4)
            .named("orders");
    World::timeline(async |_| {
        let calls = AtomicU32::new(0);
        let call = || async {
            let span = timeline::span("GET /orders");
            sleep(ms(50)).await;
            match calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                0 | 1 => {
                    span.fault("503");
                    Err(io::Error::other("503"))
                }
                _ => {
                    span.done("200");
                    Ok(())
                }
            }
        };
        POLICY.run(call).await.expect("a result");
        timeline::mark("orders are here");
    })
    .titled("The third attempt succeeds")
}

/// A lease for each of five tasks, from a pool of two.
pub(crate) fn leases() -> Timeline {
    World::timeline(async |_| {
        let db = Pool::builder(Units).max(2).named("db").build().expect("a result");
        group(async |g: Group| {
            for number in 0..5 {
                let db = db.clone();
                g.task(format!("job {number}")).spawn(async move {
                    let _lease = db.get().await?;
                    sleep(ms(100 + 20 * number)).await;
                    Ok::<_, BoxError>(())
                });
            }
            Ok(())
        })
        .await
        .expect("a result");
        let _closed = db.close(ms(10)).await;
    })
    .titled("Five jobs, two connections")
}

/// One task fails, and the others are cancelled; one is started again before.
pub(crate) fn failure() -> Timeline {
    World::timeline(async |_| {
        let error = group(async |g: Group| {
            g.task("reader").spawn(sleep(Duration::from_secs(60)));
            g.task("writer").spawn(async {
                sleep(ms(400)).await;
                Err::<(), _>(io::Error::other("disk full"))
            });
            g.task("watcher").supervise(Restart::new(std::iter::repeat(ms(100))), || async {
                sleep(ms(120)).await;
                Err::<(), _>(io::Error::other("lost"))
            });
            g.spawn(async { sleep(ms(90)).await });
            Ok(())
        })
        .await;
        error.expect_err("a failure");
    })
    .titled("A failure stops the others")
}

/// A service that is asked to stop.
pub(crate) fn stop() -> Timeline {
    World::timeline(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let run = shutdown
            .grace(Duration::from_secs(5))
            .task("server", async |stop| {
                stop.draining().await;
                sleep(ms(800)).await;
            })
            .task("consumer", async |stop| {
                stop.draining().await;
                sleep(ms(300)).await;
            })
            .run();
        let ended = tokio::spawn(run);
        sleep(ms(1_500)).await;
        stop.drain("SIGTERM");
        let _report = ended.await.expect("a result");
    })
    .titled("Two tasks drain")
}

/// A thousand tasks, and an hour in which nothing happens.
pub(crate) fn many() -> Timeline {
    World::timeline(async |_| {
        let rate = Arc::new(RateLimiter::per_second(1_000).burst(10).named("mails"));
        group(async |g: Group| {
            for number in 0..1_000 {
                let rate = Arc::clone(&rate);
                g.task(format!("mail {number}")).spawn(async move {
                    rate.acquire().await;
                    sleep(ms(100)).await;
                });
            }
            Ok(())
        })
        .await
        .expect("a result");
        sleep(Duration::from_secs(3_600)).await;
        timeline::mark("an hour later");
        sleep(ms(250)).await;
    })
    .titled("A thousand mails, and an hour")
}

/// Names that no form can take as they are.
pub(crate) fn names() -> Timeline {
    World::timeline(async |_| {
        group(async |g: Group| {
            let wide = "注文を取得する".repeat(20);
            let long = "x".repeat(1_000);
            for name in
                ["", "<&\"'>", "a\nb\tc\u{1b}[31m\0", &wide, &long, "a ]]> b -- c", "\u{202e}evil\u{feff}"]
            {
                g.task(name.to_owned()).spawn(async {
                    let _span = timeline::span("<span> & \"more\" \u{1}");
                    sleep(ms(10)).await;
                    timeline::mark("\r\n<mark/>");
                });
            }
            Ok(())
        })
        .await
        .expect("a result");
    })
    .titled("<names> & \"quotes\"\u{7}")
}

/// A name, and a program that draws itself.
pub(crate) type Scene = (&'static str, fn() -> Timeline);

pub(crate) const SCENES: [Scene; 7] = [
    ("permits", permits),
    ("retries", retries),
    ("leases", leases),
    ("failure", failure),
    ("stop", stop),
    ("many", many),
    ("names", names),
];

/// A client of a server that fails twice.
#[cfg(feature = "http")]
pub(crate) fn calls() -> Timeline {
    use evenkeel_testkit::{
        http::{Method, Reply, Server},
        net::MemNet,
    };
    World::timeline(async |_| {
        let server = Server::mem(&MemNet::new(), "api.test").expect("a result");
        server
            .on(Method::GET, "/orders")
            .reply(Reply::reset().latency(ms(40)))
            .then(Reply::new(503).latency(ms(60)))
            .then(Reply::new(200).body("[1, 2]").latency(ms(30)))
            .expect(3);
        let get = async || server.client().get(server.url("/orders").parse().expect("a result")).await;
        let mut answers = 0;
        while answers < 3 {
            let _ = get().await;
            answers += 1;
            sleep(ms(100)).await;
        }
    })
    .titled("A reset, a 503, and an answer")
}
