"""aiotools.TaskScope, whose handler hears every exception; a stop cancels the task that runs it."""
import asyncio

import evenkeel_tck as tck
from aiotools import TaskScope, move_on_after
from importlib.metadata import version

NONE = "there is no such thing"


async def shielded(task, spawn):
    async with move_on_after(task.shield, shield=True):
        await task(spawn)


def group(s):
    async def run(body):
        errors, stop, me = [], None, asyncio.current_task()
        if s.stop_after is not None:
            stop = asyncio.get_running_loop().call_later(s.stop_after, lambda: me.cancel())
        try:
            async with TaskScope(timeout=s.deadline, exception_handler=lambda told: errors.append(told["exception"])) as scope:
                def spawn(task):
                    work = task(spawn) if task.shield is None else shielded(task, spawn)
                    scope.create_task(work, name=task.name)

                body.hand_out(spawn)
                await body(spawn)
        except (tck.TaskFailed, tck.TaskPanicked, TimeoutError) as error:
            errors.append(error)
        except asyncio.CancelledError:
            if stop is None or stop.when() > asyncio.get_running_loop().time():
                raise
        finally:
            if stop is not None:
                stop.cancel()
        if errors:
            raise BaseExceptionGroup("told", errors)

    return run


tck.serve("aiotools.TaskScope", version("aiotools"), group=group, task={
    "body": True, "spawn from tasks": True, "handle": True, "errors": True, "collect all": True, "stop": True, "deadline": True,
    "shield": True, "fail fast": "use a `TaskGroup`", "grace": "a stop cancels at once",
    "reason": "a cancel has no words for the task", "limit": NONE, "names": "tasks have them, errors do not", "counts": NONE,
    "blocking": "use `asyncio.to_thread`", "blocking signal": NONE,
})
