//! A server with much in flight gets SIGTERM.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use evenkeel_shutdown::Shutdown;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    client::{Http1, Http2, Socket, get},
    process::{Program, STARTED, soon},
    programs::{end, threads},
    server::{DEAF, serve},
};

/// The load: its parts, their amounts and times.
pub(crate) struct Load {
    pub(crate) requests: usize,
    pub(crate) sockets: usize,
    /// How long a request takes.
    pub(crate) work: Duration,
    pub(crate) pre_stop: Duration,
    pub(crate) grace: Duration,
}

const PRE_STOP: &str = "EVENKEEL_PRE_STOP";
const GRACE: &str = "EVENKEEL_GRACE";

#[test]
#[ignore = "a program"]
fn serves() {
    if std::env::var_os(STARTED).is_some() {
        let time = |name| {
            let ms = std::env::var(name).ok().and_then(|ms| ms.parse().ok()).expect("it is set");
            Duration::from_millis(ms)
        };
        let runtime = threads();
        let report = runtime.block_on(async {
            let shutdown = Shutdown::new().grace(time(GRACE)).pre_stop(time(PRE_STOP));
            let (shutdown, address) = serve(shutdown).await;
            println!("serves at {address}");
            shutdown.on_stop("pool", async || println!("the pool is closed")).run().await
        });
        end(report);
    }
}

/// The observations of a load balancer's probe.
struct Probed {
    /// When the last request began that found the service ready.
    ready: Instant,
    /// The requests on new connections that failed, and when.
    failed: Vec<(Instant, io::Error)>,
    /// The number of requests that succeeded after the service was no longer ready.
    late: usize,
}

async fn probe(server: SocketAddr, over: Arc<AtomicBool>) -> Probed {
    let mut probed = Probed { ready: Instant::now(), failed: Vec::new(), late: 0 };
    while !over.load(Ordering::SeqCst) {
        let begun = Instant::now();
        match get(server, "/ready").await {
            Ok(200) => probed.ready = begun,
            Ok(status) => {
                assert_eq!(status, 503);
                probed.late += 1;
            }
            Err(error) => probed.failed.push((Instant::now(), error)),
        }
        sleep(Duration::from_millis(5)).await;
    }
    probed
}

impl Load {
    pub(crate) async fn run(self) {
        let ms = |time: Duration| time.as_millis().to_string();
        let times = [(PRE_STOP, &*ms(self.pre_stop)), (GRACE, &*ms(self.grace))];
        let mut program = Program::start_with("load::serves", &times);
        let server: SocketAddr = program.tells("serves at ").await.parse().expect("an address");

        let path = format!("/slow/{}", self.work.as_millis());
        let mut requests = JoinSet::new();
        // Half of them on connections of their own, the others on ten of HTTP/2.
        for _ in 0..self.requests / 2 {
            let mut connection = Http1::connect(server).await.expect("it accepts");
            connection.send(&path).await.expect("it reads");
            requests.spawn(async move { connection.answer().await });
        }
        let mut connections = Vec::new();
        for _ in 0..10 {
            connections.push(Http2::connect(server).await.expect("it accepts"));
        }
        for index in self.requests / 2..self.requests {
            let answer = connections[index % 10].get(&path);
            requests.spawn(async move { answer.await.map_err(io::Error::other) });
        }
        let mut sockets = JoinSet::new();
        for _ in 0..self.sockets {
            let mut socket = Socket::connect(server, "/ws").await.expect("it upgrades");
            sockets.spawn(async move {
                let frame = socket.frame().await?;
                socket.bye().await?;
                io::Result::Ok(frame)
            });
        }
        let planted = Socket::connect(server, "/deaf").await.expect("it upgrades");
        let busy = format!("/busy/{}/{}", self.requests, self.sockets + 1);
        soon("the load", async { while get(server, &busy).await.expect("it serves") != 200 {} }).await;

        let over = Arc::new(AtomicBool::new(false));
        let probe = tokio::spawn(probe(server, over.clone()));
        sleep(Duration::from_millis(100)).await;
        program.signal("TERM");

        let mut answered = 0;
        while let Some(answer) = soon("the answers", requests.join_next()).await {
            assert_eq!(answer.expect("no panic").expect("no request is lost"), 200);
            answered += 1;
        }
        assert_eq!(answered, self.requests);
        while let Some(frame) = soon("the good byes", sockets.join_next()).await {
            assert_eq!(frame.expect("no panic").expect("no websocket is cut off"), 8);
        }
        program.prints("the pool is closed").await.prints("stopped by SIGTERM").await;
        over.store(true, Ordering::SeqCst);
        let (code, errors) = program.ends().await;
        drop(planted);

        let Probed { ready, failed, late } = probe.await.expect("no panic");
        assert!(late > 0, "nobody saw that it is not ready");
        // It was asked to stop when that request had begun, and the listener was closed a delay later or more.
        let until = ready + self.pre_stop;
        let refused: Vec<_> = failed.iter().filter(|(at, _)| *at < until).collect();
        assert!(refused.is_empty(), "{refused:?} before {until:?}");

        assert_eq!(code, Some(1));
        let hung: Vec<_> =
            errors.lines().filter(|line| line.contains("held") || line.contains("aborted")).collect();
        let [hung] = hung[..] else { panic!("one hang was planted: {errors}") };
        let place = format!("server.rs:{DEAF}:");
        assert!(hung.trim_start().starts_with("guard 'deaf websocket' (") && hung.contains(&place), "{hung}");
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_server_under_load_loses_nothing_and_names_what_hung() {
    let secs = Duration::from_secs;
    Load { requests: 200, sockets: 20, work: secs(4), pre_stop: secs(2), grace: secs(6) }.run().await;
}
