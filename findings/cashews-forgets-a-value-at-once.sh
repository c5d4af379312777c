#!/usr/bin/env bash
# A value that cashews has just stored in memory is gone, if an earlier one of the same key had a time to live.
#
# Seen with cashews 7.6.0, with its store in memory. A value is stored for a tenth of a second, and then another one with the same
# key and without a time to live, either before the first one has expired, or right after. The second one is read at once, and 0.3 s later:
#
#     before it expired: second at once, then None
#     right after it expired: None at once, then None
#     after a delete: second at once, then second
#
# A value without a time to live takes the time at which that of its key expires (`Memory._set`), and a value that has expired is there
# until it is asked for, or until the store looks at it once per second. Redis, another of its stores, keeps such a value for good.
#
# Runs Python in a virtual environment in a temporary folder, with a package of PyPI. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "$(python3 --version); seen with cashews 7.6.0"

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check cashews==7.6.0
cat > "$work/main.py" <<'PY'
import asyncio

from cashews import Cache


async def run(text, pause, delete=False):
    cache = Cache()
    cache.setup("mem://")
    await cache.set("key", "first", expire=0.1)
    await asyncio.sleep(pause)
    if delete:
        await cache.delete("key")
    await cache.set("key", "second")
    at_once = await cache.get("key")
    await asyncio.sleep(0.3)
    print(f"{text}: {at_once} at once, then {await cache.get('key')}")
    await cache.close()


async def main():
    await run("before it expired", 0)
    await run("right after it expired", 0.15)
    await run("after a delete", 0.15, delete=True)


asyncio.run(main())
PY
expected="before it expired: second at once, then None
right after it expired: None at once, then None
after a delete: second at once, then second"
output=$("$work/venv/bin/python" "$work/main.py")
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
