//! A service as people write it: axum, a readiness probe, slow requests, websockets.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{
        Path, State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::StatusCode,
    routing::{any, get},
};
use evenkeel_shutdown::{BoxError, Handle, Shutdown, Stop};
use tokio::{net::TcpListener, time::sleep};

#[derive(Clone)]
struct Service {
    handle: Handle,
    stop: Stop,
    requests: Arc<AtomicUsize>,
}

/// Adds a task that serves:
///
/// - `/ready`, the readiness,
/// - `/busy`, whose status tells how far the given number of requests and guards is reached,
/// - `/slow/{ms}`, which takes that long,
/// - `/ws`, a websocket that says goodbye when the service drains, and `/deaf`, one that does not.
pub(crate) async fn serve(shutdown: Shutdown) -> (Shutdown, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    let handle = shutdown.handle();
    let shutdown = shutdown.task("http", async move |stop| {
        let service = Service { handle, stop: stop.clone(), requests: Arc::default() };
        let app = Router::new()
            .route("/ready", get(ready))
            .route("/busy/{requests}/{guards}", get(busy))
            .route("/slow/{ms}", get(work))
            .route("/ws", any(async |State(service), socket| upgrade(service, socket, polite)))
            .route("/deaf", any(async |State(service), socket| upgrade(service, socket, deaf)))
            .with_state(service);
        axum::serve(listener, app).with_graceful_shutdown(stop.draining()).await
    });
    (shutdown, address)
}

async fn ready(State(service): State<Service>) -> StatusCode {
    if *service.handle.readiness().borrow() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn busy(State(service): State<Service>, Path((requests, guards)): Path<(usize, usize)>) -> StatusCode {
    let there = service.requests.load(Ordering::SeqCst) >= requests && service.handle.in_flight() >= guards;
    if there { StatusCode::OK } else { StatusCode::ACCEPTED }
}

async fn work(State(service): State<Service>, Path(ms): Path<u64>) {
    service.requests.fetch_add(1, Ordering::SeqCst);
    sleep(Duration::from_millis(ms)).await;
    service.requests.fetch_sub(1, Ordering::SeqCst);
}

fn upgrade<F, Fut>(service: Service, socket: WebSocketUpgrade, serve: F) -> axum::response::Response
where
    F: FnOnce(Service, WebSocket) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), BoxError>> + Send,
{
    socket.on_upgrade(async move |socket| {
        // A client that has gone away is no failure of the service.
        let _ = serve(service, socket).await;
    })
}

async fn polite(service: Service, mut socket: WebSocket) -> Result<(), BoxError> {
    let _guard = service.handle.guard("websocket");
    loop {
        tokio::select! {
            message = socket.recv() => match message {
                Some(message) => drop(message?),
                None => return Ok(()),
            },
            () = service.stop.draining() => break,
        }
    }
    socket.send(Message::Close(None)).await?;
    // The client answers.
    while let Some(Ok(_)) = socket.recv().await {}
    Ok(())
}

/// The line in `deaf` that takes the guard.
pub(crate) const DEAF: u32 = line!() + 3;

async fn deaf(service: Service, _socket: WebSocket) -> Result<(), BoxError> {
    let _guard = service.handle.guard("deaf websocket");
    std::future::pending().await
}
