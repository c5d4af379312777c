#!/usr/bin/env bash
# A scope of quattro that is cancelled where nothing is awaited any more cancels what follows the scope.
#
# Seen with quattro 26.1.0. A body cancels its scope in its last line; another one has a deadline that is over when it begins, and awaits
# nothing. Then the task sleeps, outside of the scope. The same with trio and anyio, whose scopes quattro takes as its model:
#
#     quattro, cancelled in the last line: the sleep after the scope is cancelled
#     quattro, over when it begins: the sleep after the scope is cancelled
#     anyio: the sleep after the scope is done, the sleep after the scope is done
#     trio: the sleep after the scope is done, the sleep after the scope is done
#
# The scope cancels its task, which stands until the next await, wherever that is. It takes the cancellation back only if the
# body ends by a `CancelledError` (`CancelScope.__exit__`). So a deadline that is computed, with nothing left of it, ends the whole task.
#
# Runs Python in a virtual environment in a temporary folder, with packages of PyPI. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "$(python3 --version); seen with quattro 26.1.0, anyio 4.16.0 and trio 0.35.0"

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check quattro==26.1.0 anyio==4.16.0 trio==0.35.0
cat > "$work/main.py" <<'PY'
import asyncio

import anyio
import quattro
import trio


async def sleep_after(sleep, cancelled):
    try:
        await sleep(0)
    except cancelled:
        return "the sleep after the scope is cancelled"
    return "the sleep after the scope is done"


async def in_the_last_line(scope, sleep, cancelled):
    with scope() as inner:
        await sleep(0)
        inner.cancel()
    return await sleep_after(sleep, cancelled)


async def over_when_it_begins(scope, sleep, cancelled):
    with scope(0):
        pass
    return await sleep_after(sleep, cancelled)


def run(function, scope):
    return asyncio.run(function(scope, asyncio.sleep, asyncio.CancelledError))


print(f"quattro, cancelled in the last line: {run(in_the_last_line, quattro.CancelScope)}")
print(f"quattro, over when it begins: {run(over_when_it_begins, quattro.move_on_after)}")
print(f"anyio: {run(in_the_last_line, anyio.CancelScope)}, {run(over_when_it_begins, anyio.move_on_after)}")
last = trio.run(in_the_last_line, trio.CancelScope, trio.sleep, trio.Cancelled)
over = trio.run(over_when_it_begins, trio.move_on_after, trio.sleep, trio.Cancelled)
print(f"trio: {last}, {over}")
PY
expected="quattro, cancelled in the last line: the sleep after the scope is cancelled
quattro, over when it begins: the sleep after the scope is cancelled
anyio: the sleep after the scope is done, the sleep after the scope is done
trio: the sleep after the scope is done, the sleep after the scope is done"
output=$("$work/venv/bin/python" "$work/main.py")
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
