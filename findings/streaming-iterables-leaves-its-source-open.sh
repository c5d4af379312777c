#!/usr/bin/env bash
# Half of the functions of streaming-iterables leave their source open when the loop around them ends early.
#
# Seen with streaming-iterables 8.0.1. A source releases what it holds when it is no longer read (`finally` in an async generator). A loop
# over each function takes one item and breaks. Sources that are closed then, and those that are not:
#
#     closed: batch, filter, map, take, tap, throttle
#     left open: batchWithTimeout, buffer, flatTransform, merge, parallelMap, parallelMerge, transform
#
# A `break` calls `return` of the iterator. The second ones read their source by calls of `next`, and either have no `return`
# (`buffer`, `flatTransform`) or do not pass it on (`batchWithTimeout`, `merge`). So a cursor or a response that is mapped with some
# concurrency stays open, and one that is mapped without is closed.
#
# Runs node in a temporary folder, with a package of npm. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "node $(node --version); seen with streaming-iterables 8.0.1"

cd "$work"
npm install --silent --ignore-scripts --no-audit --no-fund --prefix "$work" streaming-iterables@8.0.1
cat > main.mjs <<'JS'
import { setTimeout as sleep } from 'node:timers/promises';
import * as iterables from 'streaming-iterables';

const functions = {
  batch: (source) => iterables.batch(2, source),
  batchWithTimeout: (source) => iterables.batchWithTimeout(2, 50, source),
  buffer: (source) => iterables.buffer(2, source),
  filter: (source) => iterables.filter(() => true, source),
  flatTransform: (source) => iterables.flatTransform(2, async (item) => [item], source),
  map: (source) => iterables.map(async (item) => item, source),
  merge: (source) => iterables.merge(source),
  parallelMap: (source) => iterables.parallelMap(2, async (item) => item, source),
  parallelMerge: (source) => iterables.parallelMerge(source),
  take: (source) => iterables.take(3, source),
  tap: (source) => iterables.tap(() => {}, source),
  throttle: (source) => iterables.throttle(100, 10, source),
  transform: (source) => iterables.transform(2, async (item) => item, source),
};
const closed = [];
const open = [];
for (const [name, apply] of Object.entries(functions)) {
  let isClosed = false;
  async function* source() {
    try {
      for (let item = 0; ; item += 1) {
        await sleep(1);
        yield item;
      }
    } finally {
      isClosed = true;
    }
  }
  for await (const _ of apply(source())) {
    break;
  }
  await sleep(100);
  (isClosed ? closed : open).push(name);
}
console.log(`closed: ${closed.join(', ')}\nleft open: ${open.join(', ')}`);
JS
expected="closed: batch, filter, map, take, tap, throttle
left open: batchWithTimeout, buffer, flatTransform, merge, parallelMap, parallelMerge, transform"
output=$(node main.mjs)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
