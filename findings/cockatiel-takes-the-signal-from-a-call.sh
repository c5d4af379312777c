#!/usr/bin/env bash
# A circuit breaker of cockatiel takes the abort signal from a call that waits while the circuit is half-open.
#
# Seen with cockatiel 3.2.1. A time limit of 50 ms is around a circuit breaker. One call tests the half-open circuit, and another one
# waits until it is closed. Then this one runs, as does a third one, each for 200 ms. Both are told that their time is up:
#
#     the one that waited: TaskCancelledError, the signal of its function is aborted: false
#     the one that came later: TaskCancelledError, the signal of its function is aborted: true
#
# When the test is done, the breaker executes a call that waited for it once more, and leaves out its signal
# (`CircuitBreakerPolicy.execute`). The function gets one that is never aborted, and goes on when nobody waits for it any longer.
#
# Runs node in a temporary folder, with a package of npm. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "node $(node --version); seen with cockatiel 3.2.1"

cd "$work"
npm install --silent --ignore-scripts --no-audit --no-fund --prefix "$work" cockatiel@3.2.1
cat > main.js <<'JS'
const { setTimeout: sleep } = require('node:timers/promises');
const { ConsecutiveBreaker, TimeoutStrategy, circuitBreaker, handleAll, timeout, wrap } = require('cockatiel');

const breaker = circuitBreaker(handleAll, { halfOpenAfter: 10, breaker: new ConsecutiveBreaker(1) });
const limit = timeout(50, { strategy: TimeoutStrategy.Aggressive, abortOnReturn: false });
const policy = wrap(limit, breaker);

async function call(name) {
  let aborted;
  const work = async ({ signal }) => {
    await sleep(200);
    aborted = signal.aborted;
  };
  const outcome = await policy.execute(work).catch((error) => error.constructor.name);
  await sleep(400);
  return `${name}: ${outcome}, the signal of its function is aborted: ${aborted}`;
}

async function main() {
  await policy.execute(() => Promise.reject(new Error('down'))).catch(() => {});
  await sleep(20);
  const test = policy.execute(() => Promise.resolve());
  const waited = call('the one that waited');
  await test;
  console.log(await waited);
  console.log(await call('the one that came later'));
}

main();
JS
expected="the one that waited: TaskCancelledError, the signal of its function is aborted: false
the one that came later: TaskCancelledError, the signal of its function is aborted: true"
output=$(node main.js)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
