"""anyio's task groups, on asyncio: a stop and a deadline are those of the group's cancel scope."""
import asyncio

import anyio
import evenkeel_tck as tck
from importlib.metadata import version

NONE = "there is no such thing"


async def shielded(task, spawn):
    with anyio.move_on_after(task.shield, shield=True):
        await task(spawn)


def group(s):
    async def run(body):
        begun, stop = anyio.current_time(), None
        try:
            async with anyio.create_task_group() as tg:
                if s.stop_after is not None:
                    stop = asyncio.get_running_loop().call_later(s.stop_after, tg.cancel_scope.cancel)
                if s.deadline is not None:
                    tg.cancel_scope.deadline = begun + s.deadline

                def spawn(task):
                    if task.shield is None:
                        tg.start_soon(task, spawn, name=task.name)
                    else:
                        tg.start_soon(shielded, task, spawn, name=task.name)

                body.hand_out(spawn)
                await body(spawn)
        finally:
            if stop is not None:
                stop.cancel()
        if s.deadline is not None and tg.cancel_scope.cancelled_caught:
            raise TimeoutError

    return run


tck.serve("anyio", version("anyio"), group=group, task={
    "body": True, "spawn from tasks": True, "handle": True, "errors": True, "fail fast": True, "stop": True, "deadline": True,
    "shield": True, "collect all": "a failure stops the others", "grace": "a stop cancels at once",
    "reason": "a cancel has no words for the task", "limit": "use a `CapacityLimiter`",
    "names": "tasks have them, errors do not", "counts": NONE, "blocking": "use `anyio.to_thread`",
    "blocking signal": "use `anyio.from_thread.check_cancelled`",
})
