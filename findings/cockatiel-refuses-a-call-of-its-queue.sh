#!/usr/bin/env bash
# A bulkhead of cockatiel takes a call into its queue, and refuses it later.
#
# Seen with cockatiel 3.2.1. A bulkhead runs one call at a time and has one place for a call that waits. Its documentation says that
# it "Queues the function for execution and returns its results when it runs", or throws because the queue is full. The call a
# runs, and b waits. At the moment when a ends, c and d come:
#
#     ran: a, c, d
#     a done, b BulkheadRejectedError, c done, d done
#
# The call that ends takes b from the queue, and executes it a microtask later as if it were a new call (`BulkheadPolicy.dequeue`). A
# call that comes in between finds the slot free, and the next one has the place of b. If the queue has room then, b goes
# to its end instead.
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
const { bulkhead } = require('cockatiel');

const policy = bulkhead(1, 1);
const ran = [];

function call(name, work) {
  const run = () => {
    ran.push(name);
    return work ?? sleep(5);
  };
  return policy.execute(run).then(
    () => `${name} done`,
    (error) => `${name} ${error.constructor.name}`,
  );
}

async function main() {
  let end;
  const first = new Promise((resolve) => (end = resolve));
  const calls = [call('a', first), call('b')];
  end();
  // They wait for the same event as the first call, and come after it.
  calls.push(first.then(() => call('c')), first.then(() => call('d')));
  const outcomes = await Promise.all(calls);
  console.log(`ran: ${ran.join(', ')}`);
  console.log(outcomes.join(', '));
}

main();
JS
expected="ran: a, c, d
a done, b BulkheadRejectedError, c done, d done"
output=$(node main.js)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
