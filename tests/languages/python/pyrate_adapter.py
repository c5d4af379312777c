"""pyrate-limiter: `Limiter.try_acquire_async` to wait, `try_acquire` for now, and a `BucketFactory` for keys."""
import asyncio
from importlib.metadata import version

import evenkeel_tck as tck  # first: the library keeps `time.monotonic` under names of its own
from pyrate_limiter import (
    BucketFactory, InMemoryBucket, Limiter, MonotonicClock, Rate, RateItem, StateBucket, TokenBucket,
)

NONE = "there is no such thing"


class Keyed(BucketFactory):
    """A bucket for each name, as in "Custom routing with BucketFactory" of its documentation."""

    def __init__(self, make):
        self.clock, self.make, self.by_name = MonotonicClock(), make, {}

    def wrap_item(self, name, weight=1):
        return RateItem(name, self.clock.now(), weight=weight)

    def get(self, item):
        if item.name not in self.by_name:
            self.by_name[item.name] = self.create(self.make)
        return self.by_name[item.name]


def rate_of(limit):
    if limit.kind not in ("bucket", "sliding"):
        raise tck.NotExpressible(f"a limit of the kind {limit.kind}")
    millis = round(limit.per * 1000)
    if abs(millis - limit.per * 1000) > 1e-6:
        raise tck.NotExpressible("an interval that is not whole milliseconds")
    return Rate(limit.permits, millis, burst=limit.burst if limit.kind == "bucket" else None)


class Limit:
    def __init__(self, settings):
        limits = [limit for limit in (settings.limit, settings.also) if limit is not None]
        if len({limit.kind for limit in limits}) > 1:
            raise tck.NotExpressible("limits of two kinds in one bucket")
        is_bucket = settings.limit.kind == "bucket"
        rates = sorted(map(rate_of, limits), key=lambda rate: rate.interval)
        # A longer interval has to have more permits: the same rate in another form.
        while is_bucket and len(rates) == 2 and rates[1].limit <= rates[0].limit:
            rates[1] = Rate(rates[1].limit * 2, rates[1].interval * 2, burst=rates[1].burst)

        def make():
            return StateBucket(rates, algorithm=TokenBucket()) if is_bucket else InMemoryBucket(rates)

        make()  # an ill-formed list of rates is refused here
        self.inner = Limiter(Keyed(make) if settings.keyed else make(), buffer_ms=0)

    async def acquire(self, permits, key="one", deadline=None):
        timeout = -1 if deadline is None else max(0, deadline - asyncio.get_running_loop().time())
        if not await self.inner.try_acquire_async(str(key), weight=permits, timeout=timeout):
            raise tck.Denied("never fits" if deadline is None else "deadline")

    async def try_acquire(self, permits, key="one"):
        # `try_acquire_async(blocking=False)` waits for a lock that a waiter holds, which is not now.
        if self.inner.try_acquire(str(key), weight=permits, blocking=False):
            return
        item = self.inner.bucket_factory.wrap_item(str(key), permits)
        wait = self.inner.bucket_factory.get(item).waiting(item)  # milliseconds, or -1
        raise tck.Denied("never fits") if wait == -1 else tck.Denied("busy", wait / 1000)

    def keys(self):
        return len(self.inner.buckets())


tck.serve("pyrate-limiter", version("pyrate-limiter"), limiter=Limit, limit={
    "rate": True, "burst": True, "sliding": True, "weights": True, "try": True, "wait": True, "mixed": True, "never fits": True,
    "retry after": True, "deadline": True, "keys": True, "count keys": True, "all of": True,
    "start empty": NONE, "max waiters": NONE, "max keys": NONE, "concurrency": NONE, "reserve": NONE, "refund": NONE,
    "set rate": "not in its documentation", "set burst": "not in its documentation", "set limit": NONE, "penalty": NONE,
    "close": "`close` frees resources, and refuses nothing",
})
