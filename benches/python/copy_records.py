"""Copies COUNT rows into bench_rows of the database at HOST, PORT, USER and DATABASE with asyncpg, and prints as JSON what
the call cost: its wall time, and the processor time of this program meanwhile."""

import asyncio
import datetime
import json
import resource
import sys
import time


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def main(count, host, port, user, database):
    import asyncpg

    connection = await asyncpg.connect(host=host, port=int(port), user=user, database=database)
    await connection.execute(
        "create unlogged table if not exists bench_rows (id bigint, name text, at timestamptz, x float8);"
        "truncate bench_rows"
    )
    at = datetime.datetime.fromtimestamp(1_800_000_000, datetime.timezone.utc)
    rows = ((n, "a text of 20 letters", at, float(n)) for n in range(int(count)))
    wall, used = time.perf_counter(), cpu()
    status = await connection.copy_records_to_table(
        "bench_rows", records=rows, columns=["id", "name", "at", "x"]
    )
    wall, used = time.perf_counter() - wall, cpu() - used
    assert status == f"COPY {count}", status
    await connection.execute("truncate bench_rows")
    await connection.close()
    print(json.dumps({"wall": wall, "cpu": used}))


asyncio.run(main(*sys.argv[1:]))
