"""asyncio.Semaphore, which limits what runs at once."""
import asyncio
import platform

import evenkeel_tck as tck

NONE = "there is no such thing"


class Limiter:
    def __init__(self, s):
        if s.also or s.limit.kind != "concurrency":
            raise tck.NotExpressible("a rate")
        self.inner = asyncio.Semaphore(s.limit.limit)

    async def acquire(self, permits):
        await self.inner.acquire()
        return self.inner.release


tck.serve("asyncio.Semaphore", platform.python_version(), limiter=Limiter, limit={
    "concurrency": True, "wait": True, "weights": "one at a time", "try": "`locked` tells, and takes none", "mixed": NONE,
    "rate": NONE, "burst": NONE, "start empty": NONE, "sliding": NONE, "retry after": NONE, "never fits": NONE,
    "deadline": "wrap it in `asyncio.timeout_at`", "max waiters": NONE, "set rate": NONE, "set burst": NONE,
    "set limit": NONE, "refund": NONE, "reserve": NONE, "penalty": NONE, "close": NONE, "keys": NONE, "count keys": NONE,
    "max keys": NONE, "all of": NONE,
})
