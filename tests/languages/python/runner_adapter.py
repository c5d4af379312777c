"""asyncio.Runner: a handler of `add_signal_handler` sets an event that the tasks of a `TaskGroup` wait for."""
import asyncio
import platform
import signal
from contextlib import AsyncExitStack

import evenkeel_tck as tck

NONE = "there is no such thing"
TIMEOUT = "use `asyncio.timeout`"


def program(s):
    async def main(parts):
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        if s.signals:
            loop.add_signal_handler(signal.SIGINT, stop.set)
        async with AsyncExitStack() as stack:
            if s.stop_after is not None:
                stack.callback(loop.call_later(s.stop_after, stop.set).cancel)
            for task in parts.clean_ups:
                stack.push_async_callback(task)
            async with asyncio.TaskGroup() as tg:
                def start(task):
                    tg.create_task(task(start, stop.wait), name=task.name)

                for task in parts.tasks:
                    start(task)

    def run(parts):
        with asyncio.Runner(loop_factory=parts.loop) as runner:
            runner.run(parts.start_up())
            runner.run(main(parts))

    return run


tck.serve("asyncio.Runner", platform.python_version(), program=program, shutdown={
    "tasks": True, "ends by itself": True, "errors": True, "start": True, "clean-ups": True, "signals": True,
    "grace": TIMEOUT, "again": "a second signal sets the same event", "fail fast": "a failure cancels the others, and asks nobody",
    "vital": NONE, "hung": NONE, "exit code": "the program's own", "reason": "an event has no words", "phases": NONE,
    "pre-stop": NONE, "readiness": NONE, "guards": NONE, "stop alone": NONE,
})
