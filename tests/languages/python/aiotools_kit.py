"""aiotools: `VirtualClock` patches the running loop of a test."""
import asyncio
from importlib.metadata import version

import evenkeel_tck_kit as tck
from aiotools import VirtualClock

NONE = "there is no such thing"


def run(test):
    async def main():
        with VirtualClock().patch_loop():
            await test()

    asyncio.run(main())


tck.serve("aiotools", version("aiotools"), run, testkit={
    "virtual time": True, "sockets": True, "runs tests": "it is the clock of a test, which pytest runs",
    "moves by hand": "it moves by itself alone", "hold": NONE, "settle": NONE, "limit of real time": NONE, "blocked threads": NONE,
    "leaks": "`asyncio.run` cancels what is left, and says nothing", "cuts": NONE, "fake server": NONE, "expected calls": NONE,
    "recorded calls": NONE, "resets": NONE, "cut bodies": NONE, "latency": NONE, "seeds": NONE,
})
