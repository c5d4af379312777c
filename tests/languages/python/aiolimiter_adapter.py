"""aiolimiter: `AsyncLimiter` has one number for the burst and for the rate's; the time goes with it."""
import evenkeel_tck as tck
from aiolimiter import AsyncLimiter
from importlib.metadata import version

NONE = "there is no such thing"


class Limiter:
    def __init__(self, s):
        limit = s.limit
        if s.also or limit.kind != "bucket":
            raise tck.NotExpressible("another limit than a bucket")
        seconds = limit.burst * limit.per / limit.permits if limit.permits else limit.per
        self.inner = AsyncLimiter(limit.burst if limit.permits else 0, seconds)

    async def acquire(self, permits):
        try:
            await self.inner.acquire(permits)
        except ValueError as error:  # more than the burst
            raise tck.Denied("never fits") from error


tck.serve("aiolimiter", version("aiolimiter"), limiter=Limiter, limit={
    "rate": True, "wait": True, "weights": True, "burst": True,
    "try": "it tells whether there is capacity, and takes none", "concurrency": NONE, "mixed": NONE, "start empty": NONE,
    "sliding": NONE, "retry after": NONE, "never fits": NONE, "deadline": "wrap it in `asyncio.timeout_at`",
    "max waiters": NONE, "set rate": NONE, "set burst": NONE, "set limit": NONE, "refund": NONE, "reserve": NONE,
    "penalty": NONE, "close": NONE, "keys": NONE, "count keys": NONE, "max keys": NONE, "all of": NONE,
})
