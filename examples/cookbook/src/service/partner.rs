//! A partner that knows prices, here made up: each second call meets a server that is busy.

use std::{
    io,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use axum::{Router, extract::Path, http::StatusCode, routing::get};
use evenkeel::shutdown::Stop;
use tokio::net::TcpListener;

static CALLS: AtomicU32 = AtomicU32::new(0);

async fn price(Path(item): Path<String>) -> Result<String, StatusCode> {
    let busy = CALLS.fetch_add(1, Relaxed).is_multiple_of(2);
    if busy { Err(StatusCode::SERVICE_UNAVAILABLE) } else { Ok(format!("{}", 10 * item.len())) }
}

pub(crate) async fn serve(listener: TcpListener, stop: Stop) -> io::Result<()> {
    let app = Router::new().route("/{item}", get(price));
    axum::serve(listener, app).with_graceful_shutdown(stop.draining()).await
}
