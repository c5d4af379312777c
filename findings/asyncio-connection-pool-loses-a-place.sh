#!/usr/bin/env bash
# A pool of asyncio-connection-pool loses a place for good when a caller is cancelled just as it comes.
#
# Seen with asyncio-connection-pool 1.1.1. A pool has room for two connections. Two times, a task group has a caller of the pool next
# to a task that fails at once. Then nobody has a connection, and two callers want one, with a time limit of half a second:
#
#     the pool counts 2 of 2 connections, 0 in use and 0 idle; made: 0; the two callers: TimeoutError, TimeoutError
#
# A caller counts the connection that it wants to make, and makes it in a task of its own. That task takes the number back in a
# `finally` (`ConnectionPool._connection_maker`), which it enters when it runs for the first time. A caller that is cancelled
# before cancels a task that never ran. The others wait for a connection to come back, and none will.
#
# Runs Python in a virtual environment in a temporary folder, with a package of PyPI. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "$(python3 --version); seen with asyncio-connection-pool 1.1.1"

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check asyncio-connection-pool==1.1.1
cat > "$work/main.py" <<'PY'
import asyncio

from asyncio_connection_pool import ConnectionPool, ConnectionStrategy


class Numbers(ConnectionStrategy):
    made = 0

    async def make_connection(self):
        await asyncio.sleep(0.01)
        self.made += 1
        return self.made

    def connection_is_closed(self, conn):
        return False

    async def close_connection(self, conn):
        pass


async def use(pool):
    async with pool.get_connection() as connection:
        await asyncio.sleep(0.01)
        return str(connection)


async def fail():
    raise ConnectionError


async def use_within(pool, seconds):
    try:
        return await asyncio.wait_for(use(pool), seconds)
    except TimeoutError as error:
        return type(error).__name__


async def main():
    numbers = Numbers()
    pool = ConnectionPool(strategy=numbers, max_size=2)
    for _ in range(2):
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                group.create_task(use(pool))
        except* ConnectionError:
            pass
    idle = pool.available.qsize()
    counted = f"the pool counts {pool._total} of 2 connections, {pool.in_use} in use and {idle} idle; made: {numbers.made}"
    callers = await asyncio.gather(use_within(pool, 0.5), use_within(pool, 0.5))
    print(f"{counted}; the two callers: {', '.join(callers)}")


asyncio.run(main())
PY
expected="the pool counts 2 of 2 connections, 0 in use and 0 idle; made: 0; the two callers: TimeoutError, TimeoutError"
output=$("$work/venv/bin/python" "$work/main.py")
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
