#!/usr/bin/env bash
# A lock of async-lock is held by two at once, after a third one has exceeded its time and ended.
#
# Seen with async-lock 1.5.0. Three functions want a lock. The first one, `a`, has a `maxExecutionTime` of 20 ms and exceeds it, so `b`
# begins; that far the lock does what was asked for. Neither `b` nor `c` has a limit. Then `a` ends:
#
#     before a ends: a, b
#     after a ended: b, c
#     a: Maximum execution time is exceeded key, b: done, c: done
#
# The lock goes to the next function when the time is exceeded, and once more when the function that exceeded it ends
# (`done` in `acquire`). Two have it from then on: when `b` ends, the next one joins `c`, for as long as functions wait.
#
# Runs node in a temporary folder, with a package of npm. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "node $(node --version); seen with async-lock 1.5.0"

cd "$work"
npm install --silent --ignore-scripts --no-audit --no-fund --prefix "$work" async-lock@1.5.0
cat > main.js <<'JS'
const { setTimeout: sleep } = require('node:timers/promises');
const AsyncLock = require('async-lock');

const lock = new AsyncLock();
const running = new Set();
const ends = {};

function take(name, options) {
  const work = async () => {
    running.add(name);
    await new Promise((resolve) => (ends[name] = resolve));
    running.delete(name);
  };
  return lock.acquire('key', work, options).then(
    () => `${name}: done`,
    (error) => `${name}: ${error.message}`,
  );
}

async function main() {
  const takes = [take('a', { maxExecutionTime: 20 }), take('b'), take('c')];
  await sleep(100);
  console.log(`before a ends: ${[...running].join(', ')}`);
  ends.a();
  await sleep(100);
  console.log(`after a ended: ${[...running].join(', ')}`);
  ends.b();
  ends.c?.();
  console.log((await Promise.all(takes)).join(', '));
}

main();
JS
expected="before a ends: a, b
after a ended: b, c
a: Maximum execution time is exceeded key, b: done, c: done"
output=$(node main.js)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
