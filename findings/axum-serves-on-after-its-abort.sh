#!/usr/bin/env bash
# A server of axum with a graceful shutdown answers new requests after it was aborted; one without does not.
#
# Seen with axum 0.8.9. Two servers, one with `with_graceful_shutdown` and a signal that never comes. Each has answered a request
# of a client, which keeps its connection. The tasks that run `axum::serve` are aborted and joined, and each client makes another request:
#
#     without a graceful shutdown: closed
#     with a graceful shutdown: HTTP/1.1 200 OK
#
# Each connection is a task of its own, which nobody owns; it ends when the receiver of a channel is dropped. The future of a
# plain server has that receiver (`Serve::run`). With a graceful shutdown a task has it that waits for the signal
# (`WithGracefulShutdown::run`), and that task outlives the server, too: so a time-out around such a server, or a `JoinSet` that is
# dropped, ends no connection before the signal comes.
#
# Runs cargo in a temporary folder, with packages of crates.io. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR
echo "$(cargo --version); seen with axum 0.8.9"

mkdir -p "$work/src"
cd "$work"
cat > Cargo.toml <<'TOML'
[package]
name = "serves-on"
version = "0.0.0"
edition = "2024"

[dependencies]
axum = { version = "=0.8.9", default-features = false, features = ["http1", "tokio"] }
tokio = { version = "=1.47.1", features = ["io-util", "macros", "net", "rt"] }

[workspace]
TOML
cat > src/main.rs <<'RUST'
use std::{future::pending, io};

use axum::{Router, routing::get};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Returns the first line of the answer.
async fn request(stream: &mut TcpStream) -> String {
    // A connection that is closed may take it or not.
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let mut answer = Vec::new();
    while !answer.ends_with(b"an answer") {
        match stream.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(_) => return "closed".to_owned(),
        }
    }
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}

async fn after_an_abort(is_graceful: bool) -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut client = TcpStream::connect(listener.local_addr()?).await?;
    let serve = axum::serve(listener, Router::new().route("/", get(async || "an answer")));
    let server = tokio::spawn(async move {
        if is_graceful {
            serve.with_graceful_shutdown(pending()).await
        } else {
            serve.await
        }
    });
    assert_eq!(request(&mut client).await, "HTTP/1.1 200 OK");
    server.abort();
    assert!(server.await.is_err_and(|error| error.is_cancelled()));
    Ok(request(&mut client).await)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("without a graceful shutdown: {}", after_an_abort(false).await.unwrap());
    println!("with a graceful shutdown: {}", after_an_abort(true).await.unwrap());
}
RUST
output=$(cargo run --quiet)
echo "$output"
expected="without a graceful shutdown: closed
with a graceful shutdown: HTTP/1.1 200 OK"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
