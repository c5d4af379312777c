#!/usr/bin/env bash
# A call that p-ratelimit delays for the sake of the rate waits until a call that runs has ended, however long that takes.
#
# Seen with p-ratelimit 1.0.1. A limit of one call in 50 ms, without one on how many run at once. The first call takes a second; the
# second one comes at the same time, and takes no time. The same when the first call takes no time either:
#
#     a call of 1000 ms: the second one began after it ended
#     a call of 0 ms: the second one began 50 ms later, or more
#
# A timer that looks at the queue again is set only when no call runs (`next` in `pRateLimit`); else the end of a call does that. So
# calls that take longer than their share of the interval run one after the other, and the rate is never reached.
#
# Runs node in a temporary folder, with a package of npm. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "node $(node --version); seen with p-ratelimit 1.0.1"

cd "$work"
npm install --silent --ignore-scripts --no-audit --no-fund --prefix "$work" p-ratelimit@1.0.1
cat > main.js <<'JS'
const { setTimeout: sleep } = require('node:timers/promises');
const { pRateLimit } = require('p-ratelimit');

async function run(takes) {
  const limit = pRateLimit({ interval: 50, rate: 1 });
  let began;
  let ended;
  let second;
  await Promise.all([
    limit(async () => {
      began = performance.now();
      await sleep(takes);
      ended = performance.now();
    }),
    limit(async () => {
      second = performance.now();
    }),
  ]);
  return { ended: second > ended, waited: second - began >= 49 };
}

async function main() {
  const long = await run(1000);
  console.log(`a call of 1000 ms: the second one began ${long.ended ? 'after it ended' : 'while it ran'}`);
  const short = await run(0);
  console.log(`a call of 0 ms: the second one began ${short.waited ? '50 ms later, or more' : 'too early'}`);
}

main();
JS
expected="a call of 1000 ms: the second one began after it ended
a call of 0 ms: the second one began 50 ms later, or more"
output=$(node main.js)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
