#!/usr/bin/env bash
# A time limit of asyncio does not raise `TimeoutError` once a `move_on_after` of aiotools within it has moved on.
#
# Seen with aiotools 2.2.4. A task has a time limit of asyncio (`asyncio.timeout`). Within it, a step has a limit of its own by
# `aiotools.move_on_after`, which is exceeded and moves on. Then the task goes on until its own time is up:
#
#     the step in time: TimeoutError
#     the step moved on: CancelledError, and the task ended as cancelled
#     the same with anyio.move_on_after: TimeoutError
#
# The limit of aiotools cancels its task, and does not take that back (`TaskScope._on_timeout` calls `cancel`, and nothing
# calls `uncancel`). The limit of asyncio turns a cancellation into a `TimeoutError` only when it is the only one that is
# left. So the timeout passes as a cancellation that nobody asked for, which `except Exception` does not catch.
#
# Runs Python in a virtual environment in a temporary folder, with packages of PyPI. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "$(python3 --version); seen with aiotools 2.2.4 and anyio 4.16.0"

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check aiotools==2.2.4 anyio==4.16.0
cat > "$work/main.py" <<'PY'
import asyncio

import aiotools
import anyio


async def with_aiotools(seconds):
    async with aiotools.move_on_after(0.05):
        await asyncio.sleep(seconds)


async def with_anyio(seconds):
    with anyio.move_on_after(0.05):
        await asyncio.sleep(seconds)


async def work(step, seconds, seen):
    try:
        async with asyncio.timeout(0.3):
            await step(seconds)
            await asyncio.sleep(600)
    except BaseException as error:
        seen.append(type(error).__name__)
        raise


async def run(text, step, seconds):
    seen = []
    task = asyncio.create_task(work(step, seconds, seen))
    await asyncio.wait([task])
    end = ", and the task ended as cancelled" if task.cancelled() else ""
    if not task.cancelled():
        assert isinstance(task.exception(), TimeoutError)
    print(f"{text}: {seen[0]}{end}")


async def main():
    await run("the step in time", with_aiotools, 0)
    await run("the step moved on", with_aiotools, 600)
    await run("the same with anyio.move_on_after", with_anyio, 600)


asyncio.run(main())
PY
expected="the step in time: TimeoutError
the step moved on: CancelledError, and the task ended as cancelled
the same with anyio.move_on_after: TimeoutError"
output=$("$work/venv/bin/python" "$work/main.py")
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
