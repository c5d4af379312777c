#!/usr/bin/env bash
# `next` of aiocron returns at once for each time that is over, instead of waiting for the next one.
#
# Seen with aiocron 2.1. A schedule has each second. A loop waits for the next time, and then works; its second round takes more than five
# seconds. So many of the waits that follow return at once, with the work of a round between them:
#
#     after 5 s of work: 4 or more waits return at once, then one waits for the next second
#     a cron that runs a function, after 5 s of work in the loop: it runs 4 or more times at once
#
# Each call of `next` takes the time that follows the one of the call before (`Cron.get_next`), and a time that is over is one at which
# the loop runs at once. A cron that runs a function does the same with `call_next` when the event loop was blocked. So a job that
# overruns, or a process that was stopped for an hour, makes up for all that it has missed in one go.
#
# Runs Python in a virtual environment in a temporary folder, with a package of PyPI. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "$(python3 --version); seen with aiocron 2.1"

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check aiocron==2.1
cat > "$work/main.py" <<'PY'
import asyncio
import time

import aiocron


async def waits_at_once():
    """How many waits return at once after work that takes long."""
    cron = aiocron.crontab("* * * * * *", start=False)
    await cron.next()
    await asyncio.sleep(5.5)
    count = 0
    while True:
        begun = time.monotonic()
        await cron.next()
        if time.monotonic() - begun > 0.1:
            return count
        count += 1


async def runs_at_once():
    """How often a function runs in a moment after the event loop was blocked."""
    runs = 0

    async def run():
        nonlocal runs
        runs += 1

    cron = aiocron.crontab("* * * * * *", func=run)
    await asyncio.sleep(1.5)
    before = runs
    time.sleep(5.2)
    await asyncio.sleep(0.1)
    cron.stop()
    return runs - before


def or_more(count):
    return "4 or more" if count >= 4 else str(count)


async def main():
    waits = or_more(await waits_at_once())
    print(f"after 5 s of work: {waits} waits return at once, then one waits for the next second")
    runs = or_more(await runs_at_once())
    print(f"a cron that runs a function, after 5 s of work in the loop: it runs {runs} times at once")


asyncio.run(main())
PY
expected="after 5 s of work: 4 or more waits return at once, then one waits for the next second
a cron that runs a function, after 5 s of work in the loop: it runs 4 or more times at once"
output=$("$work/venv/bin/python" "$work/main.py")
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
