"""aiostream: `map` with a task limit, `chunks` and `merge`, each in its own context."""
import evenkeel_tck as tck
from aiostream import stream
from importlib.metadata import version

NONE = "there is no such thing"


async def work(item):
    return await item.run()


def operator(s):
    if s.kind == "map":
        return lambda source: stream.map(source, work, ordered=s.ordered, task_limit=s.limit).stream()
    if s.kind == "batch":
        return lambda source: stream.chunks(source, s.items).stream()
    return lambda *sources: stream.merge(*sources).stream()


tck.serve("aiostream", version("aiostream"), operator=operator, stream={
    "map": True, "ordered results": True, "unordered results": True, "fail fast": True, "source errors": True, "stream": True,
    "batch": True, "merge": True, "collect all": "an error ends the stream", "panics as results": "an error ends the stream",
    "parallel": "tasks of one thread", "keys": NONE, "batch time": NONE, "batch weight": NONE, "batch until": NONE,
    "batch rest": NONE, "add sources": NONE, "pages": NONE, "prefetch": NONE, "generate": "async generators of the language",
    **dict.fromkeys([
        "queue", "pop", "end with producers", "end with consumers", "several consumers", "close", "close now", "join", "hand back",
        "queue weight", "workers",
    ], NONE),
})
