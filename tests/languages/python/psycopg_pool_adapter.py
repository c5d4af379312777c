"""psycopg_pool: `AsyncConnectionPool`, with a connection class whose server is the backend."""
import logging
from types import SimpleNamespace
import evenkeel_tck as tck
from importlib.metadata import version
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

NONE = "there is no such thing"
time = lambda seconds: tck.LONG if seconds is None else seconds  # it has no word for "never"
logging.disable(logging.ERROR)


class Connection:
    """What the pool asks of a connection. One that is dropped without a close is closed with its last reference, as libpq's is."""

    def __init__(self, object):
        self.object, self.pgconn, self._pool = object, SimpleNamespace(transaction_status=TransactionStatus.IDLE), None

    @classmethod
    async def connect(cls, _conninfo, backend):
        return cls(await backend.create())

    async def close(self):
        self.pgconn.transaction_status = TransactionStatus.UNKNOWN
        self.object.free()

    async def check(self):
        try:
            await self.object.check()
        except tck.Refused:
            await self.close()  # the server is gone
            raise

    def __del__(self):
        self.object.free()


class Pool:
    def __init__(self, s):
        self.inner = AsyncConnectionPool(
            connection_class=Connection, kwargs={"backend": s.backend}, open=False, min_size=0, max_size=s.max,
            timeout=time(s.acquire_timeout), max_idle=time(s.idle_timeout), max_lifetime=time(s.max_lifetime),
            check=Connection.check if s.checks else None, reset=(lambda connection: connection.object.reset()) if s.resets else None)
        self.open, self.retire, self.close, self.end = self.inner.open, self.inner.drain, self.inner.close, self.inner.close
        self.resize = lambda max: self.inner.resize(0, max)

    async def get(self, timeout=None):
        try:
            return await self.inner.getconn(timeout=timeout)
        except PoolClosed as error:
            raise tck.NoObject("closed") from error
        except PoolTimeout as error:
            raise tck.NoObject("timeout", str(error)) from error

    async def release(self, connection):
        if connection.object.is_broken:
            await connection.close()  # the server is gone
        await self.inner.putconn(connection)

    async def discard(self, connection):
        try:
            await connection.close()
        finally:
            await self.inner.putconn(connection)

    def snapshot(self):
        stats = self.inner.get_stats()
        return {"size": stats["pool_size"], "idle": stats["pool_available"], "waiting": stats["requests_waiting"]}


tck.serve("psycopg_pool", version("psycopg_pool"), pool=Pool, pools={
    "create": True, "acquire time-out": True, "deadline": True, "check": True, "broken": True, "reset": True, "discard": True, "FIFO": True,
    "idle time-out": True, "max lifetime": True, "resize": True, "retire all": True, "close": True, "count objects": True,
    "count waiters": True, "create time-out": "libpq's `connect_timeout`, which is not the pool's", "check time-out": NONE,
    "validate after": NONE, "fatal errors": NONE, "max creating": "`num_workers` are for all maintenance",
    "owned leases": "a pool ends by `close`", "detach": NONE, "LIFO": NONE, "warm": "`wait`, for `min_size` alone", "try get": NONE,
    "min idle": "`min_size` is for all connections, used ones included", "close waits": "it waits for its own tasks",
    "close deadline": "its `timeout` is for its own tasks", "holders": NONE, "deadlocks": NONE,
})
