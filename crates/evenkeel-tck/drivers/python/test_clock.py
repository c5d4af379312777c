"""The clock of the driver is exact to the nanosecond: `python3 test_clock.py`."""
import asyncio
import time

import evenkeel_tck as tck


def off(sleeps, seconds):
    """How far the clock is from the exact sum, after so many sleeps of this length."""
    loop = tck.VirtualLoop()
    tck._clock.loop = loop

    async def sleep():
        for _ in range(sleeps):
            await asyncio.sleep(seconds)

    task = loop.create_task(sleep())
    loop.settle()
    loop.run_until(10**18, task.done)
    assert task.done() and loop.now == time.monotonic_ns()
    loop.close()
    return loop.now - sleeps * round(seconds * tck.NANO)


def order():
    """The order in which timers of the same time fire, and of times that a float cannot tell apart."""
    loop, fired = tck.VirtualLoop(), []
    for number in range(8):
        loop.call_at(1.0, fired.append, number)
    loop.call_at(0.999_999_999, fired.append, "before")
    loop.call_at(1.000_000_001, fired.append, "after")
    loop.run_until(2 * tck.NANO, lambda: False)
    loop.close()
    return fired


def stops():
    """A timer at the end of a turn is left for the next one, and a turn ends when something happens."""
    loop, fired = tck.VirtualLoop(), []
    for second in (1, 2, 3):
        loop.call_at(second, fired.append, second)
    loop.run_until(2 * tck.NANO, lambda: False)
    assert (fired, loop.now) == ([1], 2 * tck.NANO)
    loop.run_until(9 * tck.NANO, lambda: 3 in fired)
    assert (fired, loop.now) == ([1, 2, 3], 3 * tck.NANO)
    loop.close()


def creeps():
    """A timer for now, again and again, moves the clock by a nanosecond in the end."""
    loop = tck.VirtualLoop()

    def again():
        if loop.now < 5:
            loop.call_at(loop.time(), again)

    loop.call_soon(again)
    loop.settle()
    loop.run_until(100, lambda: False)
    assert loop.now == 100
    loop.close()


def spins():
    loop = tck.VirtualLoop()

    async def spin():
        while True:
            await asyncio.sleep(0)

    task = loop.create_task(spin())
    try:
        loop.settle()
        raise AssertionError("it ends")
    except tck.Spins:
        task.cancel()
    loop.settle()
    loop.close()


for sleeps, seconds in ((10_000, 0.1), (100_000, 0.001), (10_080, 60.1), (1_000, 1e-9)):
    assert off(sleeps, seconds) == 0, (sleeps, seconds)
assert order() == ["before", 0, 1, 2, 3, 4, 5, 6, 7, "after"], order()
stops()
creeps()
spins()
print("the clock is exact to the nanosecond", file=tck._lines)
