//! Chapter 1 of the book, step 1: a service that stops in order.
#![expect(clippy::print_stdout, reason = "it says where it listens")]

use std::io;

use axum::{Router, extract::Path, routing::get};
use evenkeel::shutdown::{Report, Shutdown, Stop};
use tokio::net::TcpListener;

async fn price(Path(item): Path<String>) -> String {
    format!("nobody knows the price of {item}\n")
}

async fn http(listener: TcpListener, stop: Stop) -> io::Result<()> {
    let app = Router::new().route("/price/{item}", get(price));
    axum::serve(listener, app).with_graceful_shutdown(stop.draining()).await
}

#[tokio::main]
async fn main() -> Report {
    // First of all: from here on signals are heard.
    let shutdown = Shutdown::new();
    let listener = TcpListener::bind("127.0.0.1:3000").await.expect("port 3000 is free");
    println!("try http://127.0.0.1:3000/price/apple, and end it by Ctrl-C");
    shutdown.task("http", async move |stop| http(listener, stop).await).vital().run().await
}
