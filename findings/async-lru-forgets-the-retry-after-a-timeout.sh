#!/usr/bin/env bash
# The cache of async-lru does not keep the result of a call that comes right after a time-out of the same call.
#
# Seen with async-lru 2.4.0. A call of a cached function takes too long, and is made again at once, with success. Two more calls
# with the same argument follow. The function should have been called twice:
#
#     after a time-out and a retry: 0 entries
#     after two more calls: called 3 times
#
# The cancelled call removes its entry and cancels its task, which ends a moment later, when the retry has an entry of its own. The
# callback of the task that ended removes an entry by its key, whoever has made it (`_task_done_callback`). The same
# happens to an entry that is made after `cache_invalidate`, when the earlier call fails.
#
# Runs Python in a virtual environment in a temporary folder, with a package of PyPI. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "$(python3 --version); seen with async-lru 2.4.0"

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check async-lru==2.4.0
cat > "$work/main.py" <<'PY'
import asyncio

from async_lru import alru_cache

called = 0


@alru_cache
async def double(number):
    global called
    called += 1
    await asyncio.sleep(600 if called == 1 else 0)
    return number * 2


async def main():
    try:
        async with asyncio.timeout(0.01):
            await double(1)
    except TimeoutError:
        await double(1)
    print(f"after a time-out and a retry: {double.cache_info().currsize} entries")
    await double(1)
    await double(1)
    print(f"after two more calls: called {called} times")


asyncio.run(main())
PY
expected="after a time-out and a retry: 0 entries
after two more calls: called 3 times"
output=$("$work/venv/bin/python" "$work/main.py")
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
