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
    queries_count = 0

    def __init__(self, object):
        self.object = object

    def get_settings(self):
        return SimpleNamespace(server_version="17.0")

    def is_connected(self):
        return not self.object.is_broken and not self.object.is_free

    def is_in_transaction(self):
        return False

    def _is_cancelling(self):
        return False

    async def query(self, *_args):
        await self.object.reset()

    async def close(self, _timeout):
        self.object.free()

    def abort(self):
        self.object.free()


class Connection(asyncpg.Connection):
    resets = False

    def __init__(self, object):
        super().__init__(Protocol(object), None, asyncio.get_running_loop(), None, CONFIG, None)
        self.object = object

    def get_reset_query(self):
        return "RESET ALL;" if self.resets else ""


class Pool:
    def __init__(self, s):
        self.s = s

        async def connect(*_args, **_kwargs):
            async with asyncio.timeout(60):  # as its own
                return kind(await s.backend.create())

        kind = type("Connection", (Connection,), {"resets": s.resets})
        self.inner = asyncpg.create_pool(
            min_size=0, max_size=s.max, max_inactive_connection_lifetime=s.idle_timeout or 0, connect=connect, connection_class=kind)

    async def open(self):
        await self.inner
        return self

    async def get(self, deadline=None):
        timeout = self.s.acquire_timeout if deadline is None else deadline - asyncio.get_running_loop().time()
        try:
            return await self.inner.acquire(timeout=timeout)
        except asyncpg.InterfaceError as error:
            if "clos" not in str(error):
                raise
            raise tck.NoObject("closed") from error

    async def release(self, connection):
        await self.inner.release(connection, timeout=self.s.check_timeout)

    async def discard(self, connection):
        await connection.close()

    def retire(self):
        return self.inner.expire_connections()

    async def close(self):
        await self.inner.close()

    def snapshot(self):
        return {"size": self.inner.get_size(), "idle": self.inner.get_idle_size()}

    def end(self):
        self.inner.terminate()


tck.serve("asyncpg's pool", version("asyncpg"), pool=lambda s: Pool(s).open(), pools={
    "create": True, "acquire time-out": True, "check time-out": True, "deadline": True, "broken": True, "reset": True,
    "discard": True, "LIFO": True, "idle time-out": True, "retire all": True, "close": True, "close waits": True,
    "count objects": True, "create time-out": "that of `connect`, which is not the pool's",
    "check": "`setup` is no check: its error is that of the get", "validate after": NONE, "fatal errors": NONE, "max creating": NONE,
    "owned leases": "a pool ends by `close` or `terminate`", "detach": NONE, "FIFO": NONE,
    "min idle": "`min_size` is for all connections, used ones included", "max lifetime": "`max_queries`, and no time",
    "warm": "`init_size`, when it is made", "resize": NONE, "try get": NONE, "close deadline": "wrap it in `asyncio.wait_for`",
    "count waiters": NONE, "holders": NONE, "deadlocks": NONE,
})
