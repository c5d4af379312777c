"""Runs COUNT tasks in TaskGroups of BATCH, or keeps COUNT of them asleep (BATCH 0), and prints the cost as JSON."""

import asyncio
import json
import resource
import sys
import time


def processor_time():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096


async def nothing():
    pass


async def spawn_and_join(count, batch):
    start, cpu = time.monotonic(), processor_time()
    for _ in range(count // batch):
        async with asyncio.TaskGroup() as group:
            for _ in range(batch):
                group.create_task(nothing())
    return {"wall": time.monotonic() - start, "cpu": processor_time() - cpu, "bytes": 0}


async def asleep(count):
    before = resident()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(asyncio.sleep(3600)) for _ in range(count)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        grown = resident() - before
        for task in tasks:
            task.cancel()
    return {"wall": 0, "cpu": 0, "bytes": grown}


count, batch = int(sys.argv[1]), int(sys.argv[2])
print(json.dumps(asyncio.run(spawn_and_join(count, batch) if batch else asleep(count))))
