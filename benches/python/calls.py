"""Makes COUNT calls to URL, LIMIT at a time, with CLIENT (aiohttp or httpx), and prints as JSON what they cost:
the wall time of the calls, and the processor time of the whole program."""

import asyncio
import json
import resource
import sys
import time


async def with_aiohttp(url, count, limit):
    import aiohttp

    connector = aiohttp.TCPConnector(limit=limit)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def call():
            async with session.get(url) as response:
                response.raise_for_status()
                await response.read()

        return await bounded(call, count, limit)


async def with_httpx(url, count, limit):
    import httpx

    limits = httpx.Limits(max_connections=limit, max_keepalive_connections=limit)
    async with httpx.AsyncClient(limits=limits, timeout=60, trust_env=False) as session:

        async def call():
            response = await session.get(url)
            response.raise_for_status()

        return await bounded(call, count, limit)


async def bounded(call, count, limit):
    semaphore = asyncio.Semaphore(limit)

    async def one():
        async with semaphore:
            await call()

    start = time.monotonic()
    await asyncio.gather(*(one() for _ in range(count)))
    return time.monotonic() - start


def processor_time():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    client, url, count, limit = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    run = {"aiohttp": with_aiohttp, "httpx": with_httpx}[client]
    wall = asyncio.run(run(url, count, limit))
    print(json.dumps({"wall": wall, "cpu": processor_time()}))
