#!/usr/bin/env bash
# `multi_cached` of aiocache keeps a value for good that should expire, if each call asks for another key as well.
#
# Seen with aiocache 0.12.3. Values are kept for one second (`ttl=1`). The key `a` is asked for each 0.6 seconds, alone, or
# together with a key that is new each time. So often the function itself is asked for `a` in three seconds:
#
#     alone: a is asked for 3 times or more
#     with a new key each time: a is asked for once, and its value is older than two seconds
#
# The decorator puts the values of the cache into the result of the function, and then stores all of that, with the whole time to live
# (`multi_cached.decorator`). So a page that shows popular things next to a new one shows the popular ones as they were at first.
#
# Runs Python in a virtual environment in a temporary folder, with a package of PyPI. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "$(python3 --version); seen with aiocache 0.12.3"

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check aiocache==0.12.3
cat > "$work/main.py" <<'PY'
import asyncio
import time

from aiocache import multi_cached


async def run(others):
    asked = 0

    @multi_cached("keys", ttl=1)
    async def load(keys):
        nonlocal asked
        asked += keys.count("a")
        return {key: time.monotonic() for key in keys}

    for number in range(6):
        found = await load(keys=["a", *(f"{number}" for _ in range(others))])
        age = time.monotonic() - found["a"]
        await asyncio.sleep(0.6)
    return asked, age


async def main():
    asked, _ = await run(0)
    print(f"alone: a is asked for {'3 times or more' if asked >= 3 else asked}")
    asked, age = await run(1)
    old = "older" if age > 2 else "not older"
    print(f"with a new key each time: a is asked for {'once' if asked == 1 else asked}, and its value is {old} than two seconds")


asyncio.run(main())
PY
expected="alone: a is asked for 3 times or more
with a new key each time: a is asked for once, and its value is older than two seconds"
output=$("$work/venv/bin/python" "$work/main.py")
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
