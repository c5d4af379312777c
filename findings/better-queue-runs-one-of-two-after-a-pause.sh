#!/usr/bin/env bash
# A queue of better-queue for two tasks at a time runs one at a time, once it was paused and resumed.
#
# Seen with better-queue 3.8.12. A queue gets twelve tasks, either while it runs, or while it is paused; then it is resumed. The most that
# run at once, by its `concurrent` ("Number of workers that can be running at any given time"):
#
#     concurrent 1: 1 at once, after a pause 1
#     concurrent 2: 2 at once, after a pause 1
#     concurrent 3: 3 at once, after a pause 3
#
# A task that begins looks for the next one only if there is room for more than one further task (`self.concurrent - self._running > 1`
# in `Queue._processNext`). A push and the end of a task look for one each, and `resume` does once. So with two, the second place
# is filled by a push only. The same holds for tasks that the queue finds in its store when it starts.
#
# Runs node in a temporary folder, with a package of npm. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "node $(node --version); seen with better-queue 3.8.12"

cd "$work"
npm install --silent --ignore-scripts --no-audit --no-fund --prefix "$work" better-queue@3.8.12
cat > main.cjs <<'JS'
const Queue = require('better-queue');

function mostAtOnce(concurrent, paused) {
  return new Promise((resolve) => {
    let running = 0;
    let most = 0;
    const work = (_, done) => {
      running += 1;
      most = Math.max(most, running);
      setTimeout(() => {
        running -= 1;
        done(null);
      }, 20);
    };
    const queue = new Queue(work, { concurrent });
    if (paused) {
      queue.pause();
      setTimeout(() => queue.resume(), 200);
    }
    for (let number = 0; number < 12; number += 1) {
      queue.push({ id: String(number) });
    }
    queue.on('drain', () => resolve(most));
  });
}

async function main() {
  for (const concurrent of [1, 2, 3]) {
    const running = await mostAtOnce(concurrent, false);
    const resumed = await mostAtOnce(concurrent, true);
    console.log(`concurrent ${concurrent}: ${running} at once, after a pause ${resumed}`);
  }
}

main();
JS
expected="concurrent 1: 1 at once, after a pause 1
concurrent 2: 2 at once, after a pause 1
concurrent 3: 3 at once, after a pause 3"
output=$(node main.cjs)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
