#!/usr/bin/env bash
# A call that p-debounce merges gets `undefined`, or the result of an older call, if the function takes longer than the wait.
#
# Seen with p-debounce 5.1.1, with its option `before`, which calls the function at once and merges the calls that follow within the wait
# of 50 ms. The function returns its argument after 100 ms. Two pairs of calls, the second pair after the first one is done:
#
#     a: a, and b, which is merged with it: undefined
#     c: c, and d, which is merged with it: a
#     a function that fails: e rejected, and f, which is merged with it: undefined
#
# A merged call gets the result when the wait is over, from a variable (`leadingValue`), whether or not the function has one by then. The
# result is stored there later, and answers the next merged call. An error is not stored at all, so that merged calls succeed.
#
# Runs node in a temporary folder, with a package of npm. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "node $(node --version); seen with p-debounce 5.1.1"

cd "$work"
npm install --silent --ignore-scripts --no-audit --no-fund --prefix "$work" p-debounce@5.1.1
cat > main.mjs <<'JS'
import { setTimeout as sleep } from 'node:timers/promises';
import pDebounce from 'p-debounce';

const slow = pDebounce(
  async (argument) => {
    await sleep(100);
    return argument;
  },
  50,
  { before: true },
);
for (const [first, second] of ['ab', 'cd']) {
  const [result, merged] = await Promise.all([slow(first), slow(second)]);
  console.log(`${first}: ${result}, and ${second}, which is merged with it: ${merged}`);
}

const failing = pDebounce(async () => Promise.reject(new Error('failed')), 50, { before: true });
const [result, merged] = await Promise.allSettled([failing('e'), failing('f')]);
console.log(`a function that fails: e ${result.status}, and f, which is merged with it: ${merged.value}`);
JS
expected="a: a, and b, which is merged with it: undefined
c: c, and d, which is merged with it: a
a function that fails: e rejected, and f, which is merged with it: undefined"
output=$(node main.mjs)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
