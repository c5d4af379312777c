"""backoff: `on_exception` with `expo`, `giveup` for what is permanent, and `on_backoff`."""
import evenkeel_tck as tck
import backoff
from importlib.metadata import version

NONE = "there is no such setting"


def policy(s):
    if isinstance(s.jitter, int):
        raise tck.NotExpressible("jitter by percent")
    options = {"max_tries": s.max_attempts, "max_time": s.total_timeout, "jitter": backoff.full_jitter if s.jitter else None}
    if s.factor is None:
        waits = {"wait_gen": backoff.constant, "interval": s.initial}
    else:
        waits = {"wait_gen": backoff.expo, "base": s.factor, "factor": s.initial, "max_value": s.cap}

    def call(operation):
        on_backoff = lambda details: operation.observed(details["wait"])
        if s.responses:
            # What is left of the errors is not retried here: a predicate looks at responses alone.
            retry = backoff.on_predicate(predicate=lambda value: operation.judge(value) is not None,
                                         on_backoff=on_backoff, **waits, **options)
        else:
            retry = backoff.on_exception(exception=tck.Failure, giveup=lambda error: isinstance(error, tck.Permanent),
                                         on_backoff=on_backoff, **waits, **options)
        return retry(operation.__call__)()

    return call


tck.serve("backoff", version("backoff"), policy=policy, retry={
    "jitter": True, "total timeout": True, "responses": True, "observer": True,
    "retry after": "`runtime` looks at a value or at an error, and has no delays of its own beside",
    "seed": "it draws from the global generator", "attempt timeout": "wrap the operation in `asyncio.timeout`",
    "deadline": "wrap it in `asyncio.timeout_at`", "reset after": NONE, "max retry after": NONE, "budget": NONE,
    "at most once": NONE, "idempotency keys": NONE, "stop signal": NONE,
    "reason": "the error of the last attempt comes back alone",
})
