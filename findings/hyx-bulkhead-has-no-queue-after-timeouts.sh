#!/usr/bin/env bash
# A bulkhead of hyx refuses each call that would have to wait, once as many that waited have given up.
#
# Seen with hyx 0.0.2. A bulkhead runs one call at a time, and has room for three more that wait. While one runs, five others come, each
# with a time limit that is exceeded. This is done twice, with a bulkhead that is a context manager, and with one that is a decorator:
#
#     context manager: 3 waited and 2 were refused, then 0 waited and 5 were refused
#     decorator: 3 waited and 2 were refused, then 3 waited and 2 were refused
#
# A caller takes a place of the overall capacity, then waits for one of the concurrency (`BulkheadManager.acquire`). If it is cancelled
# there, nothing gives the first place back, as the block is never entered. The decorator has both in `async with`.
#
# Runs Python in a virtual environment in a temporary folder, with a package of PyPI. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "$(python3 --version); seen with hyx 0.0.2"

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check hyx==0.0.2
cat > "$work/main.py" <<'PY'
import asyncio

from hyx.bulkhead import bulkhead
from hyx.bulkhead.exceptions import BulkheadFull


async def give_up(call):
    """One call runs, and five others come, each with a time limit."""
    gate = asyncio.Event()
    running = asyncio.create_task(call(gate))
    await asyncio.sleep(0.01)
    results = await asyncio.gather(
        *(asyncio.wait_for(call(gate), 0.05) for _ in range(5)), return_exceptions=True
    )
    waited = sum(isinstance(result, TimeoutError) for result in results)
    refused = sum(isinstance(result, BulkheadFull) for result in results)
    gate.set()
    await running
    return f"{waited} waited and {refused} were refused"


async def main():
    limit = bulkhead(max_concurrency=1, max_capacity=4)

    async def within(gate):
        async with limit:
            await gate.wait()

    @bulkhead(max_concurrency=1, max_capacity=4)
    async def decorated(gate):
        await gate.wait()

    print(f"context manager: {await give_up(within)}, then {await give_up(within)}")
    print(f"decorator: {await give_up(decorated)}, then {await give_up(decorated)}")


asyncio.run(main())
PY
expected="context manager: 3 waited and 2 were refused, then 0 waited and 5 were refused
decorator: 3 waited and 2 were refused, then 3 waited and 2 were refused"
output=$("$work/venv/bin/python" "$work/main.py")
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
