#!/usr/bin/env bash
# A pool of lightning-pool refuses a caller because its queue is full, and nobody waits in it.
#
# Seen with lightning-pool 4.14.0. A pool has one resource, which is in use for a while, and a queue for two. Callers wait for 50 ms at most
# (`acquireTimeoutMillis`). Two of them wait and are told that their time is up; then a third one comes, and a fourth one when the
# resource is back:
#
#     the first two: Request timed out, Request timed out; pending 2
#     the third one, while nobody waits: Pool queue is full
#     the fourth one, after the return: a resource; pending 0
#
# A caller that gave up stays in the queue until its turn comes (`PoolRequest` tells it, and does not take it out). So after a slow
# spell the queue is full of callers that are gone, and each new one is refused at once, until a resource comes back.
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

const factory = { create: async () => ({}), destroy: async () => {} };
const pool = new Pool(factory, { max: 1, maxQueue: 2, acquireTimeoutMillis: 50 });
const call = () => pool.acquire().then(() => 'a resource', (error) => error.message);

const inUse = await pool.acquire();
const firstTwo = await Promise.all([call(), call()]);
console.log(`the first two: ${firstTwo.join(', ')}; pending ${pool.pending}`);
console.log(`the third one, while nobody waits: ${await call()}`);
await pool.releaseAsync(inUse);
console.log(`the fourth one, after the return: ${await call()}; pending ${pool.pending}`);
process.exit(0);
JS
expected="the first two: Request timed out, Request timed out; pending 2
the third one, while nobody waits: Pool queue is full
the fourth one, after the return: a resource; pending 0"
output=$(node main.mjs)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
