//! Servers of axum and hyper-util on real sockets, with `Shutdown::manual` in place of signals.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use evenkeel_shutdown::{BoxError, Handle, Report, Shutdown, Stop};
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle, time::sleep};

use crate::{
    client::{Http1, Http2, Socket, get},
    server::{DEAF, serve},
    soon,
};

const PATIENCE: Duration = Duration::from_secs(30);

struct Service {
    address: std::net::SocketAddr,
    stop: Stop,
    handle: Handle,
    run: JoinHandle<Report>,
}

async fn start(grace: Duration, pre_stop: Duration) -> Service {
    let (shutdown, stop) = Shutdown::manual();
    let (shutdown, address) = serve(shutdown.grace(grace).pre_stop(pre_stop)).await;
    let handle = shutdown.handle();
    let run = tokio::spawn(shutdown.run());
    Service { address, stop, handle, run }
}

impl Service {
    /// Waits until it has this number of requests and guards in flight.
    async fn busy(&self, requests: usize, guards: usize) {
        let path = format!("/busy/{requests}/{guards}");
        let busy = async { while get(self.address, &path).await.expect("it serves") != 200 {} };
        soon("the work", busy).await;
    }

    async fn report(self) -> Report {
        soon("the report", self.run).await.expect("it does not panic")
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn idle_connections_are_closed_at_once_and_busy_ones_answer() {
    let service = start(PATIENCE, Duration::ZERO).await;
    let mut idle = Http1::connect(service.address).await.expect("it accepts");
    assert_eq!(idle.get("/ready").await.expect("it answers"), 200);
    let idle2 = Http2::connect(service.address).await.expect("it accepts");
    assert_eq!(idle2.get("/ready").await.expect("it answers"), 200);
    let mut busy = Http1::connect(service.address).await.expect("it accepts");
    busy.send("/slow/2000").await.expect("it reads");
    let busy2 = Http2::connect(service.address).await.expect("it accepts");
    let answers: Vec<_> = (0..10).map(|_| tokio::spawn(busy2.get("/slow/2000"))).collect();
    service.busy(11, 0).await;

    service.stop.drain("deploy");
    assert!(soon("the idle connection", idle.closed()).await);
    let closed2 = soon("the idle connection of HTTP/2", idle2.connection).await.expect("no panic");
    assert!(closed2.is_ok());
    assert!(!service.run.is_finished(), "the others are still busy");
    assert_eq!(soon("the answer", busy.answer()).await.expect("it is not cut off"), 200);
    for answer in answers {
        assert_eq!(answer.await.expect("no panic").expect("it is not cut off"), 200);
    }
    let report = service.report().await;
    assert_eq!(report.exit_code(), 0, "{report}");
}

#[tokio::test]
#[ignore = "real tier"]
async fn websockets_are_waited_for_until_they_have_said_good_bye() {
    let service = start(PATIENCE, Duration::ZERO).await;
    let mut sockets = Vec::new();
    for _ in 0..5 {
        sockets.push(Socket::connect(service.address, "/ws").await.expect("it upgrades"));
    }
    service.busy(0, 5).await;
    service.stop.drain("deploy");
    let mut left = sockets.len();
    for mut socket in sockets {
        assert_eq!(soon("the good bye", socket.frame()).await.expect("a frame"), 8);
        assert!(!service.run.is_finished() && service.handle.in_flight() >= left);
        socket.bye().await.expect("it reads");
        left -= 1;
    }
    let report = service.report().await;
    assert_eq!(report.exit_code(), 0, "{report}");
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_websocket_that_hangs_is_named_and_nothing_else() {
    let service = start(Duration::from_secs(2), Duration::ZERO).await;
    let mut polite = Socket::connect(service.address, "/ws").await.expect("it upgrades");
    let deaf = Socket::connect(service.address, "/deaf").await.expect("it upgrades");
    service.busy(0, 2).await;
    service.stop.drain("deploy");
    assert_eq!(soon("the good bye", polite.frame()).await.expect("a frame"), 8);
    polite.bye().await.expect("it reads");
    let report = service.report().await;
    drop(deaf);
    let hung: Vec<_> = report.hung().map(|hung| (&*hung.name, hung.place.line())).collect();
    assert_eq!(hung, [("deaf websocket", DEAF)], "{report}");
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_connection_that_is_not_ready_is_still_served() {
    let service = start(PATIENCE, Duration::from_secs(2)).await;
    assert_eq!(get(service.address, "/ready").await.expect("it serves"), 200);
    service.stop.drain("deploy");
    let unready = async { while get(service.address, "/ready").await.expect("it serves") != 503 {} };
    soon("the readiness to fall", unready).await;
    // New connections, new requests, new websockets: all as before.
    assert_eq!(get(service.address, "/slow/1").await.expect("it serves"), 200);
    let http2 = Http2::connect(service.address).await.expect("it accepts");
    assert_eq!(http2.get("/slow/1").await.expect("it serves"), 200);
    drop(http2);
    drop(Socket::connect(service.address, "/ws").await.expect("it upgrades"));
    let address = service.address;
    let report = service.report().await;
    assert_eq!(report.exit_code(), 0, "{report}");
    assert!(get(address, "/ready").await.is_err(), "the port is free again");
}

async fn answer() -> Result<Response<Full<Bytes>>, Infallible> {
    sleep(Duration::from_millis(300)).await;
    Ok(Response::new(Full::new(Bytes::from("hello"))))
}

/// A loop as hyper-util shows it, with a task that owns its connections.
async fn accept(listener: TcpListener, begun: Arc<Semaphore>, stop: Stop) -> Result<(), BoxError> {
    let graceful = GracefulShutdown::new();
    let server = Builder::new(TokioExecutor::new());
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => TokioIo::new(accepted?.0),
            () = stop.draining() => break,
        };
        let begun = begun.clone();
        let answer = service_fn(move |_: Request<Incoming>| {
            begun.add_permits(1);
            answer()
        });
        let connection = server.serve_connection(stream, answer).into_owned();
        tokio::spawn(graceful.watch(connection));
    }
    graceful.shutdown().await;
    Ok(())
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_loop_of_hyper_util_drains_both_protocols() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    let (shutdown, stop) = Shutdown::manual();
    let begun = Arc::new(Semaphore::new(0));
    let count = begun.clone();
    let shutdown =
        shutdown.grace(PATIENCE).task("hyper", async move |stop| accept(listener, count, stop).await);
    let run = tokio::spawn(shutdown.run());

    let mut idle = Http1::connect(address).await.expect("it accepts");
    assert_eq!(idle.get("/").await.expect("it answers"), 200);
    let mut busy = Http1::connect(address).await.expect("it accepts");
    busy.send("/").await.expect("it reads");
    let busy2 = Http2::connect(address).await.expect("it accepts");
    let answer2 = tokio::spawn(busy2.get("/"));
    let _all = soon("the requests", begun.acquire_many(3)).await.expect("it is open");
    stop.drain("deploy");
    assert!(soon("the idle connection", idle.closed()).await);
    assert_eq!(soon("the answer", busy.answer()).await.expect("it is not cut off"), 200);
    assert_eq!(soon("the answer", answer2).await.expect("no panic").expect("it is not cut off"), 200);
    let report = soon("the report", run).await.expect("it does not panic");
    assert_eq!(report.exit_code(), 0, "{report}");
}
