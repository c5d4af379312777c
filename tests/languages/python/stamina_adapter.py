"""stamina: `@stamina.retry`, whose `on` may be a function that gives a delay, and a hook."""
import evenkeel_tck as tck
import stamina
from importlib.metadata import version
from stamina.instrumentation import set_on_retry_hooks

NONE = "there is no such setting"


def on(error):
    if not isinstance(error, tck.Transient):
        return False
    return True if error.after is None else error.after


set_on_retry_hooks([lambda details: details.args[0].observed(details.wait_for)])


def policy(s):
    if isinstance(s.jitter, int):
        raise tck.NotExpressible("jitter by percent")
    options = {
        "attempts": s.max_attempts, "timeout": s.total_timeout, "wait_initial": s.initial, "wait_max": s.initial if s.factor is None else s.cap,
        "wait_jitter": s.initial if s.jitter else 0, "wait_exp_base": 1 if s.factor is None else s.factor,
    }

    def call(operation):
        @stamina.retry(on=on, **options)
        async def attempt(operation):
            return await operation()

        return attempt(operation)

    return call


tck.serve("stamina", version("stamina"), policy=policy, retry={
    "jitter": True, "total timeout": True, "retry after": True, "observer": True,
    "responses": "errors alone are retried", "seed": "it draws from the global generator",
    "attempt timeout": "wrap the operation in `asyncio.timeout`", "deadline": "wrap it in `asyncio.timeout_at`",
    "reset after": NONE, "max retry after": NONE, "budget": NONE, "at most once": NONE, "idempotency keys": NONE,
    "stop signal": NONE, "reason": "the error of the last attempt comes back alone",
})
