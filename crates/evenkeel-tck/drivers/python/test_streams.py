"""The driver tells what becomes of items, sources and queues: `python3 test_streams.py`."""
import asyncio
from types import SimpleNamespace

import evenkeel_tck as tck


def begin(operator):
    rule = tck.Rule(SimpleNamespace(operator=operator), 0)
    play(rule, {"do": "begin"}, {"do": "operator", "id": 1, "settings": {"kind": "any"}})
    return rule


def play(rule, *messages):
    """The events of a turn, as pairs of a name and an id."""
    rule.play({"at": rule.now, "until": rule.now, "messages": list(messages)})
    events, rule.events = rule.events, []
    return [(event["event"], event.get("id") or event.get("says")) for event in events]


def item(id):
    return {"item": {"id": id, "number": id - 10, "key": 0, "weight": 1}}


def source(*give):
    return {"do": "stream", "id": 3, "operator": 1, "sources": [{"id": 2, "give": list(give)}]}


async def one_by_one(items):
    async for one in items:
        yield await one.run()


def a_map():
    rule = begin(lambda _: one_by_one)
    assert play(rule, source(item(11))) == []
    assert play(rule, {"do": "next", "id": 3}) == [("given", 2), ("begin", 11)]
    assert play(rule, {"do": "result", "id": 11, "outcome": "ok"}) == [("ended", 11), ("value", 3)]
    assert play(rule, {"do": "next", "id": 3}) == [("pull", 2)]
    assert play(rule, {"do": "give", "id": 2, "give": [item(12)]}) == [("given", 2), ("begin", 12)]
    # The generator has ended, and lets go of its source.
    assert play(rule, {"do": "result", "id": 12, "outcome": "panic"}) == [("ended", 12), ("failure", 3), ("dropped", 2)]
    assert play(rule, {"do": "next", "id": 3}) == [("over", 3)]
    assert play(rule, {"do": "cancel", "id": 3}) == [("end", 3)]
    assert play(rule, {"do": "end"}) == []


def a_wait_that_is_cut_and_a_stream_that_is_dropped():
    rule = begin(lambda _: one_by_one)
    play(rule, source(item(11)), {"do": "next", "id": 3})
    assert play(rule, {"do": "cut", "id": 3})[0] == ("dropped", 11)
    rule = begin(lambda _: one_by_one)
    play(rule, source(), {"do": "next", "id": 3})
    assert play(rule, {"do": "cancel", "id": 3}) == [("dropped", 2), ("end", 3)]


def a_source_that_is_asked_after_its_end():
    async def asks_again(items):
        async for one in items:
            yield one
        await anext(items, None)

    rule = begin(lambda _: asks_again)
    play(rule, source({"end": True}))
    assert play(rule, {"do": "next", "id": 3}) == [("given", 2), ("dropped", 2), ("asked again", 2), ("over", 3)]


def a_map_without_a_stream():
    async def run(items, consumer):
        async for one in items:
            if await consumer.take(await one.run()):
                return

    rule = begin(lambda _: run)
    play(rule, source(item(11), {"end": True}))
    assert play(rule, {"do": "start", "id": 3}) == [("given", 2), ("begin", 11)]
    assert play(rule, {"do": "result", "id": 11, "outcome": "ok"}) == [("ended", 11), ("take", 3)]
    assert ("over", 3) in play(rule, {"do": "taken", "id": 3, "take": 1, "stop": False})


def a_leak():
    async def forgets(items):
        asyncio.get_running_loop().create_task(asyncio.sleep(60))
        async for one in items:
            yield one

    rule = begin(lambda _: forgets)
    play(rule, source(), {"do": "next", "id": 3}, {"do": "cancel", "id": 3})
    assert play(rule, {"do": "end"}) == [("failed", "1 tasks are left alive: sleep")]


def a_queue():
    class Queue:
        def __init__(self):
            self.inner = asyncio.Queue(1)
            self.push, self.pop, self.join = self.inner.put, self.inner.get, self.inner.join

        def finish(self, _item):
            self.inner.task_done()

    def push(id):
        return {"do": "push", "id": id, "queue": 3, **item(id + 10)}, {"do": "start", "id": id}

    rule = begin(lambda _: Queue)
    assert play(rule, {"do": "queue", "id": 3, "operator": 1, "consumer": 4}) == [("configured", 3)]
    assert play(rule, *push(5), *push(6)) == [("pushed", 5)]
    assert play(rule, {"do": "join", "id": 7, "queue": 3}, {"do": "start", "id": 7}, {"do": "cancel", "id": 6}) == [("end", 6)]
    assert play(rule, {"do": "pop", "id": 8, "consumer": 4}, {"do": "start", "id": 8}) == [("popped", 8)]
    assert play(rule, {"do": "release", "id": 8}) == [("joined", 7)]
    assert play(rule, {"do": "end"}) == []


for test in (
    a_map, a_wait_that_is_cut_and_a_stream_that_is_dropped, a_source_that_is_asked_after_its_end, a_map_without_a_stream, a_leak,
    a_queue,
):
    test()
print("streams and queues are told")
