#!/usr/bin/env bash
# A `map` of asyncio-pool that is cancelled runs the rest of its items and returns normally; one item is lost.
#
# Seen with asyncio-pool 0.6.0. A pool runs two jobs at once, and maps ten items. While the first two run, and the third one waits for
# room, the task that maps is cancelled. All jobs end then, and the third one is the only one that never ran:
#
#     ran: 0, 1, 3, 4, 5, 6, 7, 8, 9; the cancelled task returned 10 results
#     a loop of spawn, cancelled once: ended after 5 of 5 spawns
#
# A `spawn` that waits for room catches each exception, stores it in the future of that job, and returns that future
# (`BaseAioPool._spawn`). A cancellation that comes there is that of the caller, who never sees it. So a time limit around
# `map` does not end it, and neither does a task group or a shutdown that cancels each task once.
#
# Runs Python in a virtual environment in a temporary folder, with a package of PyPI. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "$(python3 --version); seen with asyncio-pool 0.6.0"

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check asyncio-pool==0.6.0
cat > "$work/main.py" <<'PY'
import asyncio

from asyncio_pool import AioPool


async def steps(number):
    """Lets the other tasks run, `number` times."""
    for _ in range(number):
        await asyncio.sleep(0)


async def cancel_while_it_waits(coroutine, gate):
    task = asyncio.create_task(coroutine)
    await steps(10)
    task.cancel()
    await steps(10)
    gate.set()
    return await task


async def main():
    gate = asyncio.Event()
    ran = []

    async def job(item):
        ran.append(item)
        await gate.wait()
        return item

    results = await cancel_while_it_waits(AioPool(size=2).map(job, range(10)), gate)
    print(f"ran: {', '.join(map(str, ran))}; the cancelled task returned {len(results)} results")

    gate.clear()
    spawned = []

    async def loop(pool):
        for item in range(5):
            spawned.append(await pool.spawn(job(item)))
        await asyncio.gather(*spawned, return_exceptions=True)

    await cancel_while_it_waits(loop(AioPool(size=2)), gate)
    print(f"a loop of spawn, cancelled once: ended after {len(spawned)} of 5 spawns")


asyncio.run(main())
PY
expected="ran: 0, 1, 3, 4, 5, 6, 7, 8, 9; the cancelled task returned 10 results
a loop of spawn, cancelled once: ended after 5 of 5 spawns"
output=$("$work/venv/bin/python" "$work/main.py")
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
