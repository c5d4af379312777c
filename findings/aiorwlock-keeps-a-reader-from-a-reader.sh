#!/usr/bin/env bash
# A reader of aiorwlock waits for another reader, when the writer between them has given up; readers that come later do not.
#
# Seen with aiorwlock 1.5.1. A reader has the lock; a writer waits for it, and a second reader waits behind the writer. Then the
# time of the writer is up. A third reader comes later. Without the writer, the lock is shared by all three:
#
#     with a writer that gave up: first and third read, and second waits
#     without a writer: first, second and third read
#
# A writer that is cancelled wakes the readers behind it only if nobody has the lock (`_RWLockCore._wake_up`). The second reader is
# woken when the first one releases, however long that takes, while each new reader finds no writer and reads at once.
#
# Runs Python in a virtual environment in a temporary folder, with a package of PyPI. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "$(python3 --version); seen with aiorwlock 1.5.1"

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check aiorwlock==1.5.1
cat > "$work/main.py" <<'PY'
import asyncio

from aiorwlock import RWLock


async def run(text, with_writer):
    lock = RWLock()
    reading = []
    end = asyncio.Event()

    async def read(name):
        async with lock.reader:
            reading.append(name)
            await end.wait()

    async def write():
        async with lock.writer:
            pass

    first = asyncio.create_task(read("first"))
    await asyncio.sleep(0.01)
    if with_writer:
        writer = asyncio.create_task(asyncio.wait_for(write(), 0.05))
        await asyncio.sleep(0.01)
    second = asyncio.create_task(read("second"))
    if with_writer:
        await asyncio.wait([writer])
        assert isinstance(writer.exception(), TimeoutError)
    third = asyncio.create_task(read("third"))
    await asyncio.sleep(0.2)
    waits = "" if "second" in reading else ", and second waits"
    *names, last = reading
    print(f"{text}: {', '.join(names)} and {last} read{waits}")
    end.set()
    await asyncio.gather(first, second, third)


async def main():
    await run("with a writer that gave up", True)
    await run("without a writer", False)


asyncio.run(main())
PY
expected="with a writer that gave up: first and third read, and second waits
without a writer: first, second and third read"
output=$("$work/venv/bin/python" "$work/main.py")
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
