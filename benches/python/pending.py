"""Keeps COUNT tasks waiting at once and prints how many bytes of memory each of them takes."""

import asyncio
import sys


def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096


async def main(count):
    forever = asyncio.Event()

    async def call():
        await forever.wait()

    before = resident()
    tasks = [asyncio.create_task(call()) for _ in range(count)]
    await asyncio.sleep(0.1)
    print((resident() - before) / count)
    forever.set()
    await asyncio.gather(*tasks)


asyncio.run(main(int(sys.argv[1])))
