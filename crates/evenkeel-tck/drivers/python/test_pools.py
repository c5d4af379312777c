"""The driver tells of the steps of a backend, and finds what a pool leaves alive: `python3 test_pools.py`."""
import asyncio
from types import SimpleNamespace

import evenkeel_tck as tck


TICKING = ("ticks", "ticks, and hangs")


class Pool:
    """One object, made by the first get, and waiters in a queue."""

    def __init__(self, settings, fault=None):
        self.backend, self.fault, self.idle, self.has_object = settings.backend, fault, asyncio.Queue(), False

    async def get(self):
        if not self.has_object:
            self.has_object = True
            await self.idle.put(SimpleNamespace(object=await self.backend.create()))
        connection = await self.idle.get()
        await connection.object.check()
        return connection

    async def release(self, connection):
        if self.fault != "loses":
            await self.idle.put(connection)

    def end(self):
        loop = asyncio.get_running_loop()
        if self.fault == "leaks a task":
            loop.create_task(self.forgotten())
        if self.fault in ("leaks a timer", "spins later"):
            loop.call_later(7200 if self.fault == "leaks a timer" else 60, self.spin)
        if self.fault in TICKING:
            self.tick()
        if self.fault == "ticks, and hangs":
            return loop.create_future()
        if self.fault == "spins":
            self.spin()
        while not self.idle.empty():
            self.idle.get_nowait().object.free()

    def tick(self):
        asyncio.get_running_loop().call_later(0.001, self.tick)

    async def forgotten(self):
        await asyncio.get_running_loop().create_future()

    def spin(self):
        asyncio.get_running_loop().call_soon(self.spin)


def begin(fault=None):
    rule = tck.Rule(SimpleNamespace(pool=lambda settings: Pool(settings, fault)), 0)
    settings = {"backend": 1, "acquire_timeout": 2_000_000_000}
    assert play(rule, {"do": "begin"}, {"do": "pool", "id": 2, "settings": settings}) == ["configured 2"]
    return rule


def play(rule, *messages):
    rule.play({"at": rule.now, "until": rule.now, "messages": list(messages)})
    events, rule.events = rule.events, []
    return [f"{event['event']} {event.get('object') or event.get('id') or event.get('says')}" for event in events]


def get(id):
    return {"do": "get", "id": id, "pool": 2}, {"do": "start", "id": id}


def ended(step, outcome="ok"):
    return {"do": "ended", "backend": 1, "step": step, "outcome": outcome, "kind": "single", "says": "it is refused"}


def served(rule):
    assert play(rule, *get(3)) == ["create 1"]
    assert play(rule, ended(1)) == ["check 1"]
    assert play(rule, ended(2)) == ["got 1"]


def steps_are_told():
    rule = begin()
    served(rule)
    assert play(rule, *get(4)) == []
    assert play(rule, {"do": "return", "id": 3}) == ["check 1"]
    # The check is let go with its get, also at the instant of its end; a step that nobody waits for may end.
    assert play(rule, ended(3), {"do": "cancel", "id": 4}) == ["dropped 1", "end 4"]
    assert play(rule, ended(3)) == []


def errors_are_told():
    for outcome, reason in (("error", "create"), ("panic", "panic")):
        rule = begin()
        play(rule, *get(3))
        rule.play({"at": rule.now, "until": rule.now, "messages": [ended(1, outcome)]})
        assert rule.events == [{"event": "denied", "id": 3, "reason": reason, "says": "it is refused"}], rule.events


def end(fault):
    rule = begin(fault)
    served(rule)
    events = play(rule, {"do": "return", "id": 3}, {"do": "drop_pool", "pool": 2}, {"do": "end"})
    assert rule.now == 0
    return events


def leaks_are_found():
    assert end(None) == []
    left = {"leaks a task": "task Pool.forgotten", "leaks a timer": "a timer of 7200 s", "loses": "object 1"}
    for fault, one in left.items():
        assert end(fault) == [f"failed left alive an hour after the end: {one}"], fault


def a_timer_of_a_millisecond_is_not_driven_through_the_hour():
    left = {"ticks": "a timer of 0.001 s", "ticks, and hangs": "task Pools.end_pools.<locals>.end, object 1, a timer of 0.001 s"}
    for fault in TICKING:
        assert end(fault) == [f"failed left alive {tck.TICKS} ticks of timers after the end: {left[fault]}"], fault


def a_pool_that_spins_at_its_end_is_told():
    for fault, at in (("spins", 1), ("spins later", 61)):
        spins = f"{tck.SPIN} turns of the loop without an end, at {at * tck.NANO} ns"
        assert end(fault) == [f"failed at the end of the pools: {spins}"], fault


steps_are_told()
errors_are_told()
leaks_are_found()
a_timer_of_a_millisecond_is_not_driven_through_the_hour()
a_pool_that_spins_at_its_end_is_told()
print("pools are told, and what they leave alive", file=tck._lines)
