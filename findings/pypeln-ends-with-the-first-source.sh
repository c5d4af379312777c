#!/usr/bin/env bash
# A concatenation of pypeln's tasks ends when the first of its sources has ended, and drops what the others have.
#
# Seen with pypeln 0.4.9. Two stages have three items each; those of the second one take 0.2 s each. They are concatenated, and read to
# the end, with stages of asyncio and with those of threads:
#
#     task: 0, 1, 2
#     thread: 0, 1, 2, 10, 11, 12
#
# The queue of a stage counts the sources that have not ended. For the end of one, the count goes down in `IterableQueue.get`, and once
# more in the loop that calls it (`IterableQueue.__aiter__`). So two sources have ended when one has. Items that are in the queue by then
# are still read, which is why sources of the same speed hide it.
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


async def quick(item):
    return item


async def slow(item):
    await asyncio.sleep(0.2)
    return item


def quick_thread(item):
    return item


def slow_thread(item):
    time.sleep(0.2)
    return item


async def main():
    stages = [pl.task.map(quick, [0, 1, 2]), pl.task.map(slow, [10, 11, 12])]
    return await pl.task.concat(stages)


print(f"task: {', '.join(map(str, asyncio.run(main())))}")
stages = [pl.thread.map(quick_thread, [0, 1, 2]), pl.thread.map(slow_thread, [10, 11, 12])]
print(f"thread: {', '.join(map(str, pl.thread.concat(stages)))}")
PY
expected="task: 0, 1, 2
thread: 0, 1, 2, 10, 11, 12"
output=$("$work/venv/bin/python" "$work/main.py" 2>/dev/null)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
