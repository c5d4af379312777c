#!/usr/bin/env bash
# A circuit breaker of opossum stays closed while each call of its function fails, if it answers others from its cache.
#
# Seen with opossum 9.0.0. A breaker opens when more than half of its calls fail ("When 50% of requests fail, trip the circuit"), and
# has a cache. One argument has its answer in the cache, and is asked for twice after each of 30 others, for which the function
# fails. The same without the questions that the cache answers:
#
#     with 60 answers of the cache: 30 of 31 calls of the function failed, and the circuit is closed
#     with 0 answers of the cache: 2 of 3 calls of the function failed, and the circuit is open
#
# The rate of errors is that of failures to `fires`, and a question counts among these before the breaker looks into the cache
# (`CircuitBreaker.call`). So a breaker whose cache has half of the answers never opens.
#
# Runs node in a temporary folder, with a package of npm. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "node $(node --version); seen with opossum 9.0.0"

cd "$work"
npm install --silent --ignore-scripts --no-audit --no-fund --prefix "$work" opossum@9.0.0
cat > main.js <<'JS'
const CircuitBreaker = require('opossum');

async function ask(hits) {
  let called = 0;
  let failed = 0;
  const answer = async (key) => {
    called += 1;
    if (key !== 'known') {
      failed += 1;
      throw new Error('down');
    }
    return key;
  };
  const options = { cache: true, timeout: false, errorThresholdPercentage: 50, rollingCountTimeout: 600_000 };
  const breaker = new CircuitBreaker(answer, options);
  await breaker.fire('known');
  for (let i = 0; i < 30; i += 1) {
    await breaker.fire(`unknown ${i}`).catch(() => {});
    for (let hit = 0; hit < hits; hit += 1) {
      await breaker.fire('known');
    }
  }
  const state = breaker.closed ? 'closed' : 'open';
  console.log(`with ${breaker.stats.cacheHits} answers of the cache: ${failed} of ${called} calls of the function failed, and the circuit is ${state}`);
  breaker.shutdown();
}

async function main() {
  await ask(2);
  await ask(0);
}

main();
JS
expected="with 60 answers of the cache: 30 of 31 calls of the function failed, and the circuit is closed
with 0 answers of the cache: 2 of 3 calls of the function failed, and the circuit is open"
output=$(node main.js)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
