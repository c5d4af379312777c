"""Runs COUNT items on LIMIT workers behind a bounded queue, and prints the cost as JSON; the bytes are those at half time."""

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


async def main(count, limit):
    total, grown, before = 0, 0, resident()
    start, cpu = time.monotonic(), processor_time()
    queue = asyncio.Queue(limit)

    async def work():
        nonlocal total
        while True:
            item = await queue.get()
            await asyncio.sleep(0)
            total += item % 7
            queue.task_done()

    workers = [asyncio.create_task(work()) for _ in range(limit)]
    for item in range(count):
        if item == count // 2:
            grown = resident() - before
        await queue.put(item)
    await queue.join()
    for worker in workers:
        worker.cancel()
    cost = {"wall": time.monotonic() - start, "cpu": processor_time() - cpu, "bytes": grown}
    assert total == sum(item % 7 for item in range(count))
    return cost


count, limit = int(sys.argv[1]), int(sys.argv[2])
print(json.dumps(asyncio.run(main(count, limit))))
