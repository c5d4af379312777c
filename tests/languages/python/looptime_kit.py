"""looptime: its loop is that of a test, as its plugin for pytest makes it."""
import asyncio
from importlib.metadata import version

import evenkeel_tck_kit as tck
import looptime

NONE = "there is no such thing"


def run(test):
    with asyncio.Runner(loop_factory=lambda: looptime.new_event_loop(start=0, idle_timeout=1)) as runner:
        runner.run(test())


tck.serve("looptime", version("looptime"), run, testkit={
    "virtual time": True, "sockets": True, "runs tests": "it is the clock of a test, which pytest runs",
    "moves by hand": "it moves by itself alone", "hold": NONE, "settle": NONE,
    "limit of real time": "its limits are of its own time", "blocked threads": NONE,
    "leaks": "`asyncio.Runner` cancels what is left, and says nothing", "cuts": NONE, "fake server": NONE, "expected calls": NONE,
    "recorded calls": NONE, "resets": NONE, "cut bodies": NONE, "latency": NONE, "seeds": NONE,
})
