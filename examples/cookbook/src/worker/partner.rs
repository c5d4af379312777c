//! A partner that takes orders, here made up: it is busy at the first call, and says when to come again.

use std::{
    collections::BTreeSet,
    io,
    sync::{LazyLock, Mutex},
};

use axum::{Router, extract::Path, http::StatusCode, routing::post};
use evenkeel::shutdown::Stop;
use tokio::net::TcpListener;

static SEEN: LazyLock<Mutex<BTreeSet<u32>>> = LazyLock::new(Mutex::default);

async fn order(Path(order): Path<u32>) -> (StatusCode, [(&'static str, &'static str); 1]) {
    let is_first = SEEN.lock().expect("nothing panics under it").insert(order);
    let status = if is_first { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (status, [("retry-after", "1")])
}

pub(crate) async fn serve(listener: TcpListener, stop: Stop) -> io::Result<()> {
    let app = Router::new().route("/{order}", post(order));
    axum::serve(listener, app).with_graceful_shutdown(stop.draining()).await
}
