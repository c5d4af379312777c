#!/usr/bin/env bash
# An open circuit of purgatory keeps each call that it refuses, with its local variables.
#
# Seen with purgatory 3.0.1. A circuit is open. A thousand calls with a body of 10 kB each are refused, and their errors are handled and
# forgotten. Then the open circuit has these in its memory:
#
#     1000 calls refused, 1000 of their bodies are kept; after the circuit closed: 0
#
# The state of an open circuit is the very exception that it raises (`OpenedState.handle_new_request` does `raise self`). Each
# raise adds the frames that it passes to the traceback of that one object, and a frame keeps what its function had.
# So memory grows with each refused call until the circuit closes, which is when a service has to survive.
#
# Runs Python in a virtual environment in a temporary folder, with a package of PyPI. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "$(python3 --version); seen with purgatory 3.0.1"

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check purgatory==3.0.1
cat > "$work/main.py" <<'PY'
import asyncio
import gc

from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState


class Body(bytearray):
    pass


async def call(breakers, body, fails):
    async with await breakers.get_breaker("service"):
        if fails:
            raise ConnectionError


def kept():
    gc.collect()
    return sum(isinstance(thing, Body) for thing in gc.get_objects())


async def main():
    breakers = AsyncCircuitBreakerFactory(default_threshold=1, default_ttl=1)
    try:
        await call(breakers, None, True)
    except ConnectionError:
        pass
    refused = 0
    for _ in range(1000):
        try:
            await call(breakers, Body(10_000), False)
        except OpenedState:
            refused += 1
    while_open = kept()
    await asyncio.sleep(1.1)
    await call(breakers, None, False)
    print(f"{refused} calls refused, {while_open} of their bodies are kept; after the circuit closed: {kept()}")


asyncio.run(main())
PY
expected="1000 calls refused, 1000 of their bodies are kept; after the circuit closed: 0"
output=$("$work/venv/bin/python" "$work/main.py")
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
