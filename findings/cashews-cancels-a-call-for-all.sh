#!/usr/bin/env bash
# A caller of cashews' thunder protection whose time is up cancels the call for all others, also for the one who began it.
#
# Seen with cashews 7.6.0. Three callers ask for the same key, and the function is called once (`thunder_protection`). The second caller has
# a time limit, and the others have none:
#
#     called 1 times; first: CancelledError, second: TimeoutError, third: CancelledError
#     without a time limit: called 1 times; first: result, second: result, third: result
#
# The call is one task, and all callers await that task itself (`_wrapper` in `thunder_protection`), without `asyncio.shield`. A cancelled
# caller cancels what it awaits. The others get a `CancelledError` though nobody cancelled them, which `except Exception` does not catch,
# and by which a task group takes them for cancelled.
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

from cashews import thunder_protection


async def run(text, limit):
    called = 0

    @thunder_protection(key="key")
    async def ask():
        nonlocal called
        called += 1
        await asyncio.sleep(0.2)
        return "result"

    async def caller(limit):
        try:
            return await asyncio.wait_for(ask(), limit)
        except (asyncio.CancelledError, TimeoutError) as error:
            return type(error).__name__

    first, second, third = await asyncio.gather(caller(None), caller(limit), caller(None))
    print(f"{text}called {called} times; first: {first}, second: {second}, third: {third}")


async def main():
    await run("", 0.05)
    await run("without a time limit: ", None)


asyncio.run(main())
PY
expected="called 1 times; first: CancelledError, second: TimeoutError, third: CancelledError
without a time limit: called 1 times; first: result, second: result, third: result"
output=$("$work/venv/bin/python" "$work/main.py")
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
