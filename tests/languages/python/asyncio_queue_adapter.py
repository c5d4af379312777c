"""asyncio.Queue. Its `shutdown` came with Python 3.13."""
import asyncio
import platform

import evenkeel_tck as tck

NONE, LATER = "there is no such thing", "`shutdown` came with Python 3.13"


class Queue:
    def __init__(self, s):
        self.inner = asyncio.Queue(s.capacity)
        self.push, self.pop, self.join = self.inner.put, self.inner.get, self.inner.join

    def finish(self, _item):
        self.inner.task_done()


tck.serve("asyncio.Queue", platform.python_version(), operator=lambda s: lambda: Queue(s), stream={
    "queue": True, "pop": True, "several consumers": True, "join": True, "end with producers": LATER,
    "end with consumers": NONE, "close": LATER, "close now": "`shutdown(immediate=True)`, of 3.13, drops the items",
    "hand back": "an item may be put anew, which counts it twice", "queue weight": NONE, "workers": "they are tasks of the user",
    **dict.fromkeys([
        "map", "ordered results", "unordered results", "fail fast", "collect all", "source errors", "panics as results", "parallel",
        "stream", "keys", "batch", "batch time", "batch weight", "batch until", "batch rest", "merge", "add sources", "pages",
        "prefetch", "generate",
    ], "it is a queue"),
})
