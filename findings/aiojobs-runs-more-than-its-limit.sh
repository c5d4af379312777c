#!/usr/bin/env bash
# A scheduler of aiojobs runs more jobs at once than its limit, after a job that waited is closed.
#
# Seen with aiojobs 1.4.0. A scheduler runs two jobs at once. Ten are spawned, and three of those that wait are closed. Then five
# more are spawned, and all run for a while:
#
#     limit 2: 5 jobs run at once, and active_count is 2
#
# The number of active jobs is that of all jobs less those in the queue (`Scheduler.active_count`). A job that is closed is no
# longer one of all jobs, and stays in the queue until its turn comes, so each one of these makes room for another.
#
# Runs Python in a virtual environment in a temporary folder, with a package of PyPI. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "$(python3 --version); seen with aiojobs 1.4.0"

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check aiojobs==1.4.0
cat > "$work/main.py" <<'PY'
import asyncio

import aiojobs

running = 0


async def work(end):
    global running
    running += 1
    await end.wait()
    running -= 1


async def main():
    end = asyncio.Event()
    scheduler = aiojobs.Scheduler(limit=2)
    jobs = [await scheduler.spawn(work(end)) for _ in range(10)]
    for job in jobs[5:8]:
        await job.close()
    for _ in range(5):
        await scheduler.spawn(work(end))
    await asyncio.sleep(0.01)
    print(f"limit {scheduler.limit}: {running} jobs run at once, and active_count is {scheduler.active_count}")
    end.set()
    await scheduler.wait_and_close()


asyncio.run(main())
PY
expected="limit 2: 5 jobs run at once, and active_count is 2"
output=$("$work/venv/bin/python" "$work/main.py")
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
