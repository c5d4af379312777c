//! Chapter 1 of the book: a service with calls to a partner, a store, and an end.
#![expect(clippy::print_stdout, reason = "it says where it listens")]

mod partner;
mod prices;
mod store;
#[cfg(test)]
mod tests;

use std::{io, sync::Arc};

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    routing::get,
};
use evenkeel::{
    shutdown::{Report, Shutdown, Stop},
    task::BoxError,
};
use prices::{Prices, with_causes};
use store::Store;
use tokio::net::TcpListener;

struct Service {
    prices: Prices,
    store: Store,
}

/// An error of a request, which the client is told, and its causes.
struct Failed(BoxError);

impl axum::response::IntoResponse for Failed {
    fn into_response(self) -> axum::response::Response {
        (StatusCode::BAD_GATEWAY, format!("{}\n", with_causes(&self.0))).into_response()
    }
}

impl<E: Into<BoxError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// Asks for a price, and keeps it.
async fn price(State(service): State<Arc<Service>>, Path(item): Path<String>) -> Result<String, Failed> {
    let price = service.prices.price(&item).await?;
    service.store.save(item, price).await?;
    Ok(format!("{price}\n"))
}

/// Lists the prices that are known.
async fn known(State(service): State<Arc<Service>>) -> Result<String, Failed> {
    let known = service.store.known().await?;
    Ok(known.iter().map(|(item, price)| format!("{item}: {price}\n")).collect())
}

async fn http(listener: TcpListener, service: Service, stop: Stop) -> io::Result<()> {
    let app = Router::new().route("/price/{item}", get(price)).route("/prices", get(known));
    let app = app.with_state(Arc::new(service));
    axum::serve(listener, app).with_graceful_shutdown(stop.draining()).await
}

/// Puts the program together: its tasks, and the order in which they stop.
fn program(shutdown: Shutdown, listener: TcpListener, service: Service, partner: TcpListener) -> Shutdown {
    let store = service.store.clone();
    shutdown
        .task("http", async move |stop| http(listener, service, stop).await)
        .vital()
        // Stops when the requests have ended, which need it.
        .phase("partner")
        .task("partner", async move |stop| partner::serve(partner, stop).await)
        .phase("close")
        .on_stop("store", async move || store.close().await)
}

#[tokio::main]
async fn main() -> Result<Report, BoxError> {
    // First of all: from here on signals are heard.
    let shutdown = Shutdown::new();
    let listener = TcpListener::bind("127.0.0.1:3000").await.expect("port 3000 is free");
    let partner = TcpListener::bind("127.0.0.1:3001").await.expect("port 3001 is free");
    let prices = Prices::new("http://127.0.0.1:3001".to_owned());
    let service = Service { prices, store: Store::open("prices.sqlite")? };
    println!("try http://127.0.0.1:3000/price/apple and /prices, and end it by Ctrl-C");
    Ok(program(shutdown, listener, service, partner).run().await)
}
