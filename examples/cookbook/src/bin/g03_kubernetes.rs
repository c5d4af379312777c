//! How do I write a web service for Kubernetes? With a readiness probe that fails before requests are refused, requests
//! and websockets that end in order, and a pool that is closed last, all within 30 seconds. The sums are in
//! `examples/kubernetes`; its manifest is checked against this program by a test.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{io, time::Duration};

use axum::{
    Router,
    extract::{
        Path, State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::StatusCode,
    response::Response,
    routing::{any, get},
};
use evenkeel_shutdown::{Handle, Report, Shutdown, Stop};
use tokio::{net::TcpListener, time::sleep};

pub(crate) const PORT: u16 = 8080;
/// All of `terminationGracePeriodSeconds`, less the 2 seconds of the watchdog.
pub(crate) const GRACE: Duration = Duration::from_secs(28);
/// The time until every proxy sends no more requests to this pod: a generous guess.
pub(crate) const PRE_STOP: Duration = Duration::from_secs(5);
/// The time limit of a request.
const REQUESTS: Duration = Duration::from_secs(12);
const JOBS: Duration = Duration::from_secs(6);
const CLOSE: Duration = Duration::from_secs(3);

#[derive(Clone)]
struct Service {
    handle: Handle,
    stop: Stop,
}

async fn ready(State(service): State<Service>) -> StatusCode {
    if *service.handle.readiness().borrow() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn work(Path(ms): Path<u64>) -> String {
    let time = Duration::from_millis(ms).min(REQUESTS);
    sleep(time).await;
    format!("that took {time:?}\n")
}

/// axum does not wait for connections that were upgraded: a guard does.
async fn socket(State(service): State<Service>, upgrade: WebSocketUpgrade) -> Response {
    let guard = service.handle.guard("websocket");
    upgrade.on_upgrade(async move |socket| {
        // A client that has disconnected is not a failure.
        let _ = echo(socket, service.stop).await;
        drop(guard);
    })
}

async fn echo(mut socket: WebSocket, stop: Stop) -> Result<(), axum::Error> {
    loop {
        tokio::select! {
            message = socket.recv() => match message.transpose()? {
                Some(message @ (Message::Text(_) | Message::Binary(_))) => socket.send(message).await?,
                Some(_) => {}
                None => return Ok(()),
            },
            () = stop.draining() => return socket.send(Message::Close(None)).await,
        }
    }
}

async fn http(listener: TcpListener, handle: Handle, stop: Stop) -> io::Result<()> {
    let app = Router::new()
        .route("/live", get(async || "alive\n"))
        .route("/ready", get(ready))
        .route("/slow/{ms}", get(work))
        .route("/ws", any(socket))
        .with_state(Service { handle, stop: stop.clone() });
    axum::serve(listener, app).with_graceful_shutdown(stop.draining()).await
}

async fn jobs(stop: Stop) {
    while !stop.is_draining() {
        tokio::select! {
            () = sleep(Duration::from_secs(1)) => {}
            () = stop.draining() => {}
        }
    }
}

pub(crate) fn program(shutdown: Shutdown, listener: TcpListener) -> Shutdown {
    let shutdown = shutdown.grace(GRACE).pre_stop(PRE_STOP).phase("accept").reserve(REQUESTS);
    let handle = shutdown.handle();
    shutdown
        .task("http", async move |stop| http(listener, handle, stop).await)
        .vital()
        .phase("work")
        .reserve(JOBS)
        .task("jobs", jobs)
        .phase("close")
        .reserve(CLOSE)
        .on_stop("pool", async || println!("the pool is closed"))
}

#[tokio::main]
async fn main() -> Report {
    // First of all: from here on signals are heard.
    let shutdown = Shutdown::new();
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await.expect("the port is free");
    println!("serving at port {PORT}; Ctrl-C or SIGTERM stops it");
    program(shutdown, listener).run().await
}
