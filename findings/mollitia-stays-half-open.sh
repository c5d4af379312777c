#!/usr/bin/env bash
# A circuit breaker of mollitia stays half-open for good, and rejects each call, if calls from before it opened end while it is half-open.
#
# Seen with mollitia 0.1.1. A breaker opens at half of ten calls, and lets two through when it is half-open. Three calls that take
# long run when ten others fail and open it. They end when it is half-open, and then all calls would succeed:
#
#     opened, then half-opened; then of 10 calls 2 succeed, and the circuit is half-opened
#     without calls that take long: of 10 calls 10 succeed, and the circuit is closed
#
# The results of all calls go into one list, and the breaker decides when the list is as long as the number of calls that it lets
# through (`executeInHalfOpened` asks for equality). With three late results the list is never that long. The only way out
# is `halfOpenStateMaxDelay`, which is off by default.
#
# Runs node in a temporary folder, with a package of npm. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "node $(node --version); seen with mollitia 0.1.1"

cd "$work"
npm install --silent --ignore-scripts --no-audit --no-fund --prefix "$work" mollitia@0.1.1
cat > main.js <<'JS'
const { setTimeout: sleep } = require('node:timers/promises');
const { Circuit, SlidingCountBreaker } = require('mollitia');

async function run(late) {
  const breaker = new SlidingCountBreaker({ openStateDelay: 50, permittedNumberOfCallsInHalfOpenState: 2 });
  const circuit = new Circuit({ func: (work) => work(), options: { modules: [breaker] } });
  const states = [];
  let end;
  const ended = new Promise((resolve) => (end = resolve));
  const slow = Array.from({ length: late }, () => circuit.execute(() => ended));
  for (let call = 0; call < 10; call += 1) {
    await circuit.execute(() => Promise.reject(new Error('down'))).catch(() => {});
  }
  states.push(breaker.state);
  await sleep(200);
  states.push(breaker.state);
  end();
  await Promise.all(slow);
  let succeeded = 0;
  for (let call = 0; call < 10; call += 1) {
    succeeded += await circuit.execute(() => Promise.resolve(1)).catch(() => 0);
  }
  const text = `of 10 calls ${succeeded} succeed, and the circuit is ${breaker.state}`;
  circuit.dispose();
  return { states: states.join(', then '), text };
}

async function main() {
  const late = await run(3);
  console.log(`${late.states}; then ${late.text}`);
  console.log(`without calls that take long: ${(await run(0)).text}`);
}

main();
JS
expected="opened, then half-opened; then of 10 calls 2 succeed, and the circuit is half-opened
without calls that take long: of 10 calls 10 succeed, and the circuit is closed"
output=$(node main.js)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
