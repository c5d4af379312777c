#!/usr/bin/env bash
# `sleep_until_open` of aiobreaker sleeps hours too long in New York, and fails in Berlin.
#
# Seen with aiobreaker 1.2.0. A circuit opens for 60 seconds. The error of a refused call says how long it takes until it may be
# tried again (`time_remaining`, by which `sleep_until_open` sleeps). In three time zones, of which EST5 is in the west and CET-1
# in the east, that is:
#
#     UTC: about 60 s
#     EST5: about 18060 s
#     CET-1: TypeError
#
# The time at which the circuit opened is that of UTC without saying so (`CircuitBreaker.open` takes `datetime.utcnow()`); what is left
# is computed by the local time (`CircuitBreakerError.time_remaining` and `CircuitBreaker.opens_at` take `datetime.now()`). East of
# UTC the end is over before it began, and `opens_at` is `None` then. The circuit itself takes UTC for both, and half-opens in time.
#
# Runs Python in a virtual environment in a temporary folder, with a package of PyPI. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "$(python3 --version); seen with aiobreaker 1.2.0"

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check aiobreaker==1.2.0
cat > "$work/main.py" <<'PY'
import asyncio
import os
from datetime import timedelta

from aiobreaker import CircuitBreaker, CircuitBreakerError


async def fail():
    raise ConnectionError


async def main():
    breaker = CircuitBreaker(fail_max=1, timeout_duration=timedelta(seconds=60))
    for _ in range(2):
        try:
            await breaker.call_async(fail)
        except CircuitBreakerError as error:
            refused = error
    try:
        seconds = refused.time_remaining.total_seconds()
        left = f"about {round(seconds, -1):.0f} s"
    except TypeError as error:
        left = type(error).__name__
    print(f"{os.environ['TZ']}: {left}")


asyncio.run(main())
PY
expected="UTC: about 60 s
EST5: about 18060 s
CET-1: TypeError"
output=$(for zone in UTC EST5 CET-1; do
    TZ=$zone "$work/venv/bin/python" -W ignore "$work/main.py"
done)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
