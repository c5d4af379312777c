"""asyncpg's pool: its own connections, on a protocol below them that is the backend's. `connect` gives them to the pool."""
import asyncio
from types import SimpleNamespace

import evenkeel_tck as tck
import asyncpg
from asyncpg import connect_utils
from importlib.metadata import version

NONE = "there is no such thing"
CONFIG = connect_utils._ClientConfiguration(
    command_timeout=None, statement_cache_size=0, max_cached_statement_lifetime=0, max_cacheable_statement_size=0)


class Protocol:
    """What a connection asks of the wire."""

    queries_count = 0

    def __init__(self, object):
        self.object = object
        self.get_settings = lambda: SimpleNamespace(server_version="17.0")
        self.is_in_transaction = self._is_cancelling = lambda: False
        self.is_connected, self.abort = lambda: object.is_open, object.free

    async def query(self, *_args):
        await self.object.reset()

    async def close(self, _timeout):
        self.object.free()


class Connection(asyncpg.Connection):
    def __init__(self, object, resets):
        super().__init__(Protocol(object), None, asyncio.get_running_loop(), None, CONFIG, None)
        self.object, self.get_reset_query = object, lambda: "RESET ALL;" if resets else ""


class Pool:
    def __init__(self, s):
        async def connect(*_args, **_kwargs):
            return Connection(await s.backend.create(), s.resets)

        self.inner = asyncpg.create_pool(
            min_size=0, max_size=s.max, connect=connect, connection_class=Connection,
            max_inactive_connection_lifetime=0 if s.idle_timeout is None else s.idle_timeout)  # 0 is for ever
        self.acquire_timeout, self.discard = s.acquire_timeout, lambda connection: connection.close()
        release_timeout = tck.LONG if s.check_timeout is None else s.check_timeout  # None is the time of the get
        self.release = lambda connection: self.inner.release(connection, timeout=release_timeout)
        self.retire, self.close, self.end = self.inner.expire_connections, self.inner.close, self.inner.close

    async def open(self):
        await self.inner

    async def get(self, timeout=None):
        try:
            return await self.inner.acquire(timeout=self.acquire_timeout if timeout is None else timeout)
        except asyncpg.InterfaceError as error:
            if "clos" not in str(error):
                raise
            raise tck.NoObject("closed") from error

    def snapshot(self):
        return {"size": self.inner.get_size(), "idle": self.inner.get_idle_size()}


tck.serve("asyncpg's pool", version("asyncpg"), pool=Pool, pools={
    "create": True, "acquire time-out": True, "check time-out": True, "deadline": True, "broken": True, "reset": True,
    "discard": True, "LIFO": True, "idle time-out": True, "retire all": True, "close": True, "close waits": True,
    "count objects": True, "create time-out": "that of `connect`, which is not the pool's",
    "check": "`setup` is no check: its error is that of the get", "validate after": NONE, "fatal errors": NONE, "max creating": NONE,
    "owned leases": "a pool ends by `close` or `terminate`", "detach": NONE, "FIFO": NONE,
    "min idle": "`min_size` is for all connections, used ones included", "max lifetime": "`max_queries`, and no time",
    "warm": "`init_size`, when it is made", "resize": NONE, "try get": NONE, "close deadline": "wrap it in `asyncio.wait_for`",
    "count waiters": NONE, "holders": NONE, "deadlocks": NONE,
})
