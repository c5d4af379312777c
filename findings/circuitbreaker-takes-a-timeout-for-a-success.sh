#!/usr/bin/env bash
# A call that is cancelled by a time limit is a success for circuitbreaker: it forgets the failures, and closes the circuit.
#
# Seen with circuitbreaker 2.1.3 (and the same with aiocircuitbreaker 2.0.0). A circuit opens after three failures. Each third call
# of a function takes too long for the time limit of its caller, and the others fail. Of another function the circuit is
# open; when it is time to try again, the call takes too long:
#
#     30 calls, 20 failures and 10 time-outs: closed
#     after 3 failures: open, then half_open, and after a time-out: closed
#
# A time limit of asyncio cancels the call, and a `CancelledError` is not an `Exception`, which is what counts as a failure. All that
# is none is a success (`CircuitBreaker.__exit__`). Only a limit inside of the function, which raises `TimeoutError` there, counts.
#
# Runs Python in a virtual environment in a temporary folder, with a package of PyPI. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "$(python3 --version); seen with circuitbreaker 2.1.3"

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check circuitbreaker==2.1.3
cat > "$work/main.py" <<'PY'
import asyncio
from collections import Counter

from circuitbreaker import CircuitBreaker


async def call(function, *arguments):
    """The name of what the call raises, with a time limit."""
    try:
        return await asyncio.wait_for(function(*arguments), 0.01)
    except (ConnectionError, TimeoutError) as error:
        return type(error).__name__


async def ask(slow):
    if slow:
        await asyncio.sleep(600)
    raise ConnectionError


async def main():
    breaker = CircuitBreaker(failure_threshold=3, name="first")
    function = breaker(ask)
    raised = Counter([await call(function, number % 3 == 2) for number in range(30)])
    print(f"{raised.total()} calls, {raised['ConnectionError']} failures and {raised['TimeoutError']} time-outs: {breaker.state}")

    breaker = CircuitBreaker(failure_threshold=3, recovery_timeout=1, name="second")
    function = breaker(ask)
    for _ in range(3):
        await call(function, False)
    states = [breaker.state]
    await asyncio.sleep(1.1)
    states.append(breaker.state)
    assert await call(function, True) == "TimeoutError"
    states.append(breaker.state)
    print("after 3 failures: {}, then {}, and after a time-out: {}".format(*states))


asyncio.run(main())
PY
expected="30 calls, 20 failures and 10 time-outs: closed
after 3 failures: open, then half_open, and after a time-out: closed"
output=$("$work/venv/bin/python" "$work/main.py")
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
