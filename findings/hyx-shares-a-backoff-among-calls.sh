#!/usr/bin/env bash
# Calls that run at once share one backoff of hyx: each makes the delays of the others longer, and each new call resets those of all.
#
# Seen with hyx 0.0.2. A function with four retries and delays that begin at one second and double is called once; three times at
# once; and four times, each when the one before begins its second delay. It always fails. The delays of each call are, in seconds:
#
#     alone: [1, 2, 4, 8]
#     three at once: [1, 2, 16, 128], [1, 4, 32, 256], [1, 8, 64, 512]
#     one step after the other: [1, 2, 2, 2], [1, 4, 4, 2], [1, 8, 4, 16], [1, 8, 32, 64]
#
# A decorator has one object of its backoff, which is an iterator as well. Each call begins by resetting that very object
# (`expo.__iter__` returns itself), and takes its delays from it. The linear, Fibonacci and interval ones are built in the same way.
# So with calls that keep coming the delays need not grow, and those that began together wait far too long.
#
# Runs Python in a virtual environment in a temporary folder, with a package of PyPI. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "$(python3 --version); seen with hyx 0.0.2"

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check hyx==0.0.2
cat > "$work/main.py" <<'PY'
import asyncio

from hyx.retry import retry
from hyx.retry.backoffs import expo
from hyx.retry.exceptions import MaxAttemptsExceeded

sleep = asyncio.sleep
delays = {}


async def record(seconds):
    """Takes the place of `asyncio.sleep`: notes the delay, and lets the others run."""
    delays.setdefault(asyncio.current_task().get_name(), []).append(int(seconds))
    await sleep(0)


async def call(function):
    try:
        await function()
    except MaxAttemptsExceeded:
        pass


def failing():
    @retry(on=ConnectionError, attempts=4, backoff=expo(min_delay_secs=1, base=2))
    async def function():
        raise ConnectionError

    return function


async def run(text, *starts):
    """Calls a function that fails; each call begins after some steps of the others."""
    delays.clear()
    function = failing()
    tasks = []
    for number, steps in enumerate(starts):
        for _ in range(steps):
            await sleep(0)
        tasks.append(asyncio.create_task(call(function), name=str(number)))
    await asyncio.gather(*tasks)
    print(f"{text}: {', '.join(str(delays[task.get_name()]) for task in tasks)}")


async def main():
    asyncio.sleep = record
    await run("alone", 0)
    await run("three at once", 0, 0, 0)
    await run("one step after the other", 0, 1, 1, 1)


asyncio.run(main())
PY
expected="alone: [1, 2, 4, 8]
three at once: [1, 2, 16, 128], [1, 4, 32, 256], [1, 8, 64, 512]
one step after the other: [1, 2, 2, 2], [1, 4, 4, 2], [1, 8, 4, 16], [1, 8, 32, 64]"
output=$("$work/venv/bin/python" "$work/main.py")
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
