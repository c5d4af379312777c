#!/usr/bin/env bash
# A server of wiremock that was dropped answers on, and its late requests are those of the next test.
#
# Seen with wiremock 0.6.5, whose documentation says: "When a `MockServer` instance goes out of scope (e.g. the test finishes),
# the corresponding HTTP server running in the background is shut down to free up the port it was using." A server has one
# mock, which answers 200, and is dropped. Then its address is asked, another server is started, and the old address is asked again:
#
#     dropped: HTTP/1.1 200 OK; the next server has its address: true, and received ["/late"]
#
# `MockServer::start` lends a server from a pool (`get_pooled_mock_server`), and a drop returns it. It is reset when it is
# lent again, and not before; its port is never closed. So a client that should meet a server that is gone meets its mocks, and
# a task that outlives its test is counted in the expectations of another one. A server that is started with
# `MockServer::builder().listener(…)` is not pooled. The documentation also says of the pool: "designed to be invisible […] If you
# end up having to worry about it, it's a bug".
#
# Runs cargo in a temporary folder, with packages of crates.io. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR
echo "$(cargo --version); seen with wiremock 0.6.5"

mkdir -p "$work/src"
cd "$work"
cat > Cargo.toml <<'TOML'
[package]
name = "answers-after-its-drop"
version = "0.0.0"
edition = "2024"

[dependencies]
tokio = { version = "=1.47.1", features = ["io-util", "macros", "net", "rt"] }
wiremock = "=0.6.5"

[workspace]
TOML
cat > src/main.rs <<'RUST'
use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

/// Returns the first line of the answer.
async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = match TcpStream::connect(address).await {
        Ok(stream) => stream,
        Err(error) => return error.to_string(),
    };
    let request = format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let address = *server.address();
    drop(server);
    let dropped = get(address, "/").await;
    let next = MockServer::start().await;
    get(address, "/late").await;
    let received = next.received_requests().await.unwrap();
    let received: Vec<_> = received.iter().map(|request| request.url.path()).collect();
    println!(
        "dropped: {dropped}; the next server has its address: {}, and received {received:?}",
        *next.address() == address,
    );
}
RUST
output=$(cargo run --quiet)
echo "$output"
expected='dropped: HTTP/1.1 200 OK; the next server has its address: true, and received ["/late"]'
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
