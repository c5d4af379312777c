#!/usr/bin/env bash
# `run_any` of aiometer waits until each function has ended, and raises the error of one that fails after another has succeeded.
#
# Seen with aiometer 1.0.0. Its documentation says of `run_any`: "run async functions until the first one completes", like
# `Promise.any()`. Three functions run at once; the first one ends at once, and the others go on for a while. The same when one of
# them fails then, and when one may run at a time:
#
#     all succeed: quick, after quick, slow and slower have ended
#     a later one fails: ConnectionError, after quick and failing have ended
#     one at a time: quick, after quick, slow and slower have ended
#
# The first result is returned from within a task group (`run_any`, in the context of `amap`), which waits for the tasks that are left
# and raises what they raise; nothing cancels them. So hedged requests take as long as the slowest one, and fail if any one does.
#
# Runs Python in a virtual environment in a temporary folder, with a package of PyPI. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "$(python3 --version); seen with aiometer 1.0.0"

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check aiometer==1.0.0
cat > "$work/main.py" <<'PY'
import asyncio
from functools import partial

import aiometer

ended = []


async def end(name, after, error=None):
    await asyncio.sleep(after)
    ended.append(name)
    if error:
        raise error
    return name


async def run(text, functions, **limits):
    ended.clear()
    try:
        result = await aiometer.run_any(functions, **limits)
    except ConnectionError as error:
        result = type(error).__name__
    *names, last = ended
    print(f"{text}: {result}, after {', '.join(names)} and {last} have ended")


async def main():
    functions = [partial(end, "quick", 0), partial(end, "slow", 0.2), partial(end, "slower", 0.4)]
    await run("all succeed", functions)
    failing = [partial(end, "quick", 0), partial(end, "failing", 0.2, ConnectionError())]
    await run("a later one fails", failing)
    await run("one at a time", functions, max_at_once=1)


asyncio.run(main())
PY
expected="all succeed: quick, after quick, slow and slower have ended
a later one fails: ConnectionError, after quick and failing have ended
one at a time: quick, after quick, slow and slower have ended"
output=$("$work/venv/bin/python" "$work/main.py")
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
