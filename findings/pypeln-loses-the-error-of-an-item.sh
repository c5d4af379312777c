#!/usr/bin/env bash
# A stage of pypeln's tasks drops an item whose function fails, and tells nothing, unless the item is among the last ones.
#
# Seen with pypeln 0.4.9. A function is mapped over the numbers from 0 to 9 by two workers, and fails for one of them, by a
# `ConnectionError`, or by a `TimeoutError` where it is too slow. The outcome of a stage of asyncio (`pl.task`), and of one of threads:
#
#     task, 2 fails: 9 items, without 2
#     task, 9 fails: ConnectionError
#     task, 9 is too slow: 9 items, without 9
#     thread, 2 fails: ConnectionError
#     thread, 9 is too slow: TimeoutError
#
# A task that is done leaves the set of tasks, whatever its result is (`TaskPool.on_task_done`), and the errors that are raised are
# those of the tasks that are left when the source has ended (`TaskPool.join`). A `TimeoutError` is dropped each time, as if it
# were that of the stage's own `timeout`. Only asyncio's log tells of a lost error, when its task is collected.
#
# Runs Python in a virtual environment in a temporary folder, with a package of PyPI. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "$(python3 --version); seen with pypeln 0.4.9"

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pypeln==0.4.9
cat > "$work/main.py" <<'PY'
import asyncio
import time

import pypeln as pl


def outcome(text, run):
    try:
        items = sorted(run())
        missing = ", ".join(str(number) for number in range(10) if number not in items)
        print(f"{text}: {len(items)} items, without {missing}")
    except (ConnectionError, TimeoutError) as error:
        print(f"{text}: {type(error).__name__}")


def failing(failing_number, error):
    async def function(number):
        if number == failing_number:
            raise error
        await asyncio.sleep(0.01)
        return number

    def blocking(number):
        if number == failing_number:
            raise error
        time.sleep(0.01)
        return number

    return function, blocking


def task(failing_number, error):
    async def run():
        return await pl.task.map(failing(failing_number, error)[0], range(10), workers=2)

    return lambda: asyncio.run(run())


def thread(failing_number, error):
    return lambda: list(pl.thread.map(failing(failing_number, error)[1], range(10), workers=2))


outcome("task, 2 fails", task(2, ConnectionError("down")))
outcome("task, 9 fails", task(9, ConnectionError("down")))
outcome("task, 9 is too slow", task(9, TimeoutError("slow")))
outcome("thread, 2 fails", thread(2, ConnectionError("down")))
outcome("thread, 9 is too slow", thread(9, TimeoutError("slow")))
PY
expected="task, 2 fails: 9 items, without 2
task, 9 fails: ConnectionError
task, 9 is too slow: 9 items, without 9
thread, 2 fails: ConnectionError
thread, 9 is too slow: TimeoutError"
output=$("$work/venv/bin/python" "$work/main.py" 2>/dev/null)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
