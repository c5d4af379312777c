//! Chapter 1 of the book, step 2: calls to a partner, within its limit, and again if they fail.
#![expect(clippy::print_stdout, reason = "it says where it listens")]

mod partner;
mod prices;

use std::{io, sync::Arc};

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    routing::get,
};
use evenkeel::shutdown::{Report, Shutdown, Stop};
use prices::{Prices, with_causes};
use tokio::net::TcpListener;

async fn price(
    State(prices): State<Arc<Prices>>,
    Path(item): Path<String>,
) -> Result<String, (StatusCode, String)> {
    match prices.price(&item).await {
        Ok(price) => Ok(format!("{price}\n")),
        Err(error) => Err((StatusCode::BAD_GATEWAY, format!("{}\n", with_causes(&error)))),
    }
}

async fn http(listener: TcpListener, prices: Prices, stop: Stop) -> io::Result<()> {
    let app = Router::new().route("/price/{item}", get(price)).with_state(Arc::new(prices));
    axum::serve(listener, app).with_graceful_shutdown(stop.draining()).await
}

#[tokio::main]
async fn main() -> Report {
    // First of all: from here on signals are heard.
    let shutdown = Shutdown::new();
    let listener = TcpListener::bind("127.0.0.1:3000").await.expect("port 3000 is free");
    let partner = TcpListener::bind("127.0.0.1:3001").await.expect("port 3001 is free");
    let prices = Prices::new("http://127.0.0.1:3001".to_owned());
    println!("try http://127.0.0.1:3000/price/apple, and end it by Ctrl-C");
    shutdown
        .task("http", async move |stop| http(listener, prices, stop).await)
        .vital()
        // Stops when the requests have ended, which need it.
        .phase("partner")
        .task("partner", async move |stop| partner::serve(partner, stop).await)
        .run()
        .await
}
