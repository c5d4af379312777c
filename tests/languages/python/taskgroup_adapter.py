"""asyncio.TaskGroup; a stop cancels the task that runs the group, as its documentation says."""
import asyncio
import platform

import evenkeel_tck as tck

NONE = "there is no such thing"


def group(s):
    async def run(body):
        stop = None
        if s.stop_after is not None:
            stop = asyncio.get_running_loop().call_later(s.stop_after, asyncio.current_task().cancel)
        try:
            async with asyncio.TaskGroup() as tg:
                def spawn(task):
                    tg.create_task(task(spawn), name=task.name)

                body.hand_out(spawn)
                await body(spawn)
        except asyncio.CancelledError:
            if stop is None or stop.when() > asyncio.get_running_loop().time():
                raise
        finally:
            if stop is not None:
                stop.cancel()

    return run


tck.serve("asyncio.TaskGroup", platform.python_version(), group=group, task={
    "body": True, "spawn from tasks": True, "handle": True, "errors": True, "fail fast": True, "stop": True,
    "collect all": "a failure stops the others", "grace": "a stop cancels at once", "reason": "a cancel has no words for the task",
    "deadline": "wrap it in `asyncio.timeout`", "limit": "use a `Semaphore`", "names": "tasks have them, errors do not",
    "counts": NONE, "shield": "`asyncio.shield` leaves its work to nobody", "blocking": "use `asyncio.to_thread`",
    "blocking signal": NONE,
})
