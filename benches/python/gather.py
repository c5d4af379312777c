"""Runs COUNT items in a task each, LIMIT of which hold a semaphore at a time, and prints the cost as JSON; the bytes are those at half time."""

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
    done, grown, before = 0, 0, resident()
    start, cpu = time.monotonic(), processor_time()
    semaphore = asyncio.Semaphore(limit)

    async def work(item):
        nonlocal done, grown
        async with semaphore:
            await asyncio.sleep(0)
        done += 1
        if done == count // 2:
            grown = resident() - before
        return item % 7

    total = sum(await asyncio.gather(*[work(item) for item in range(count)]))
    cost = {"wall": time.monotonic() - start, "cpu": processor_time() - cpu, "bytes": grown}
    assert total == sum(item % 7 for item in range(count))
    return cost


count, limit = int(sys.argv[1]), int(sys.argv[2])
print(json.dumps(asyncio.run(main(count, limit))))
