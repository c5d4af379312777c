"""tenacity: `AsyncRetrying`, as its documentation shows."""
import evenkeel_tck as tck
import tenacity as t
from importlib.metadata import version

NONE = "there is no such setting"


def policy(s):
    if s.jitter == "usual" and s.factor is None:
        wait = t.wait_fixed(s.initial) + t.wait_random(0, s.initial)
    elif s.jitter == "usual":
        wait = t.wait_random_exponential(multiplier=s.initial, max=s.cap, exp_base=s.factor)
    elif s.jitter is not None:
        raise tck.NotExpressible("jitter by percent")
    elif s.factor is None:
        wait = t.wait_fixed(s.initial)
    else:
        wait = t.wait_exponential(multiplier=s.initial, max=s.cap, exp_base=s.factor)

    stop = t.stop_after_attempt(s.max_attempts)
    if s.total_timeout is not None:
        stop |= t.stop_before_delay(s.total_timeout)

    def call(operation):
        def asked(state):  # a wait may be any callable
            bad = state.outcome.exception() or operation.judge(state.outcome.result())
            return wait(state) if bad.after is None else bad.after

        retry = t.retry_if_exception_type(tck.Transient)
        if s.responses:
            retry |= t.retry_if_result(lambda value: operation.judge(value) is not None)
        return t.AsyncRetrying(
            stop=stop, wait=asked, retry=retry, reraise=True,
            retry_error_callback=(lambda state: state.outcome.result()) if s.responses else None,
            before_sleep=lambda state: operation.observed(state.next_action.sleep),
        )(operation.__call__)

    return call


tck.serve("tenacity", version("tenacity"), policy=policy, retry={
    "jitter": True, "total timeout": True, "responses": True, "retry after": True, "observer": True,
    "seed": "it draws from the global generator", "attempt timeout": "wrap the operation in `asyncio.timeout`",
    "deadline": "wrap it in `asyncio.timeout_at`", "reset after": NONE, "max retry after": NONE, "budget": NONE,
    "at most once": NONE, "idempotency keys": NONE, "stop signal": "`stop_when_event_set` looks at it between attempts",
    "reason": "its error holds the last attempt alone",
})
