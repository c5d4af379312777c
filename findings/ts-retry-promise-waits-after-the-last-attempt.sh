#!/usr/bin/env bash
# ts-retry-promise waits once more after the last attempt, and its exponential delays are 0.1 s, 10 s, and then five minutes.
#
# Seen with ts-retry-promise 0.8.1. A function fails each time. Without retries, and with three retries of exponential delays that
# begin at 100 ms, it is called, and these waits are made, in milliseconds; and so many calls begin within the default time limit:
#
#     0 retries: 1 calls, waits [500], then an error
#     3 retries: 4 calls, waits [100, 10000, 300000, 300000], then an error
#     10 retries within 60 s: 3 calls
#
# The loop waits before it looks whether there is another attempt (`_retry`). The exponential delay is the first delay to the power
# of the attempt, in milliseconds (`Math.pow(delay, attempt)`), and `maxBackOff` bounds it by five minutes. So an error is told
# late by the longest delay, and the default time limit, if there is one, is over after three attempts.
#
# Runs node in a temporary folder, with a package of npm. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "node $(node --version); seen with ts-retry-promise 0.8.1"

cd "$work"
npm install --silent --ignore-scripts --no-audit --no-fund --prefix "$work" ts-retry-promise@0.8.1
cat > main.js <<'JS'
const { retry } = require('ts-retry-promise');

// The waits of the library, each of which takes no time.
let waits = [];
const { setTimeout } = globalThis;
globalThis.setTimeout = (callback, wait) => {
  waits.push(wait);
  return setTimeout(callback, 0);
};

async function run(options) {
  waits = [];
  let calls = 0;
  const fail = async () => {
    calls += 1;
    throw new Error('down');
  };
  const outcome = await retry(fail, { timeout: 'INFINITELY', ...options }).then(() => 'a value', () => 'an error');
  return { calls, outcome, waits };
}

async function main() {
  const none = await run({ retries: 0, delay: 500 });
  console.log(`0 retries: ${none.calls} calls, waits [${none.waits.join(', ')}], then ${none.outcome}`);
  const three = await run({ retries: 3, delay: 100, backoff: 'EXPONENTIAL' });
  console.log(`3 retries: ${three.calls} calls, waits [${three.waits.join(', ')}], then ${three.outcome}`);
  const ten = await run({ retries: 10, delay: 100, backoff: 'EXPONENTIAL' });
  let passed = 0;
  let calls = 1;
  for (const wait of ten.waits) {
    passed += wait;
    calls += passed < 60_000 ? 1 : 0;
  }
  console.log(`10 retries within 60 s: ${calls} calls`);
}

main();
JS
output=$(node main.js)
echo "$output"
expected="0 retries: 1 calls, waits [500], then an error
3 retries: 4 calls, waits [100, 10000, 300000, 300000], then an error
10 retries within 60 s: 3 calls"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
