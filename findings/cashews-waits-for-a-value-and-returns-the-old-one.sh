#!/usr/bin/env bash
# A cached function of cashews that is recalculated in the foreground waits for the new value, and returns the old one.
#
# Seen with cashews 7.6.0. Functions return a number that grows with each call, and are called anew before their value expires: `early`
# after a time, and `hit` after the second time that its value is asked for; in the background by default, and with `background=False`
# while the caller waits. The results, and how often the function has been called when each one is returned:
#
#     early: results [1, 1, 2], calls [1, 2, 2]
#     hit: results [1, 1, 1, 2], calls [1, 1, 2, 2]
#     early, and the second call fails: results [1, 'ConnectionError'], calls [1, 2]
#
# The caller awaits the task of the new value, and returns what it had from the cache before (`_wrap` of both). So it has the time of
# a miss and the value of a hit. And it gets the error of the new value, though the old one has not expired yet.
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

from cashews import cache

cache.setup("mem://")


async def run(text, decorate, pauses, fails=False):
    called = 0

    @decorate
    async def number():
        nonlocal called
        called += 1
        await asyncio.sleep(0.01)
        if fails and called == 2:
            raise ConnectionError
        return called

    results, calls = [], []
    for pause in pauses:
        await asyncio.sleep(pause)
        try:
            results.append(await number())
        except ConnectionError as error:
            results.append(type(error).__name__)
        calls.append(called)
    print(f"{text}: results {results}, calls {calls}")


async def main():
    early = cache.early(ttl=60, early_ttl=1, background=False, key="early")
    await run("early", early, [0, 1.2, 0])
    hit = cache.hit(ttl=60, cache_hits=10, update_after=2, background=False, key="hit")
    await run("hit", hit, [0, 0, 0, 0])
    failing = cache.early(ttl=60, early_ttl=1, background=False, key="failing")
    await run("early, and the second call fails", failing, [0, 1.2], fails=True)


asyncio.run(main())
PY
expected="early: results [1, 1, 2], calls [1, 2, 2]
hit: results [1, 1, 1, 2], calls [1, 1, 2, 2]
early, and the second call fails: results [1, 'ConnectionError'], calls [1, 2]"
output=$("$work/venv/bin/python" "$work/main.py")
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
