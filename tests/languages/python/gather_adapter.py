"""asyncio.gather, with `return_exceptions` where all are to be collected; a stop cancels its future."""
import asyncio
import platform

import evenkeel_tck as tck

NONE = "there is no such thing"
AT_ONCE = "all are given at once"


def group(s):
    async def run(body):
        all = asyncio.gather(*(task() for task in body.tasks), return_exceptions=s.on_failure == "go on")
        stop = None
        if s.stop_after is not None:
            stop = asyncio.get_running_loop().call_later(s.stop_after, all.cancel)
        try:
            ended = await all
        except asyncio.CancelledError:
            if stop is None or stop.when() > asyncio.get_running_loop().time():
                raise
            return
        finally:
            if stop is not None:
                stop.cancel()
        errors = [error for error in ended if isinstance(error, BaseException)]
        if errors:
            raise BaseExceptionGroup("gathered", errors)

    return run


tck.serve("asyncio.gather", platform.python_version(), group=group, task={
    "errors": True, "collect all": True, "stop": True, "body": AT_ONCE, "spawn from tasks": AT_ONCE, "handle": AT_ONCE,
    "fail fast": "the others go on", "grace": "a stop cancels at once", "reason": "a cancel has no words for the task",
    "deadline": "wrap it in `asyncio.timeout`", "limit": "use a `Semaphore`", "names": "errors do not have them",
    "counts": NONE, "shield": "`asyncio.shield` leaves its work to nobody", "blocking": "use `asyncio.to_thread`",
    "blocking signal": NONE,
})
