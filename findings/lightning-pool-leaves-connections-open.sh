#!/usr/bin/env bash
# A pool of lightning-pool that is closed with a time limit never destroys the resources that are in use when the time is up.
#
# Seen with lightning-pool 4.14.0. A pool has three resources; one is returned, and two are in use. `close(100)` waits for 100 ms,
# and succeeds. Then one of the two is returned, and `destroy` is called for the other one. The same with `close(true)`, which
# does not wait:
#
#     close(100): destroyed 1 of 3 when it is closed, and 1 of 3 after that
#     close(true): destroyed 3 of 3 when it is closed, and 3 of 3 after that
#
# When the time is up, the pool forgets all its resources, and then releases those in use (`Pool.close`). A resource that is forgotten
# can be neither released nor destroyed. The README says of `pool.close(5000)`: "Wait for active resource for 5 sec than force shutdown".
# So it is the polite way to close that leaks a connection for each call that takes longer.
#
# Runs node in a temporary folder, with a package of npm. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "node $(node --version); seen with lightning-pool 4.14.0"

cd "$work"
npm install --silent --ignore-scripts --no-audit --no-fund --prefix "$work" lightning-pool@4.14.0
cat > main.mjs <<'JS'
import { Pool } from 'lightning-pool';

async function run(limit) {
  let created = 0;
  let destroyed = 0;
  const factory = {
    create: async () => ({ number: (created += 1) }),
    destroy: async () => {
      destroyed += 1;
    },
  };
  const pool = new Pool(factory, { max: 3 });
  const [a, b, c] = [await pool.acquire(), await pool.acquire(), await pool.acquire()];
  await pool.releaseAsync(a);
  await pool.close(limit);
  const closed = destroyed;
  await pool.releaseAsync(b);
  await pool.destroyAsync(c);
  console.log(`close(${limit}): destroyed ${closed} of ${created} when it is closed, and ${destroyed} of ${created} after that`);
}

await run(100);
await run(true);
JS
expected="close(100): destroyed 1 of 3 when it is closed, and 1 of 3 after that
close(true): destroyed 3 of 3 when it is closed, and 3 of 3 after that"
output=$(node main.mjs)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
