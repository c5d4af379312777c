"""Puts a Python library to the rules of evenkeel-tck: the virtual clock and the protocol, so that an adapter is a few lines.

One file on purpose, long as it is: it is copied beside the adapter.

Import it before the library, which may keep `time.monotonic` under a name of its own:

    import evenkeel_tck as tck
    import tenacity

    def policy(settings):
        wait = tenacity.wait_exponential(multiplier=settings.initial, max=settings.cap, exp_base=1 if settings.factor is None else settings.factor)
        stop = tenacity.stop_after_attempt(settings.max_attempts)
        retry = tenacity.retry_if_exception_type(tck.Transient)
        return lambda operation: tenacity.AsyncRetrying(wait=wait, stop=stop, retry=retry, reraise=True)(operation)

    tck.serve("tenacity", tenacity.__version__, retry={"jitter": "not in this example"}, policy=policy)

A limit, with `limit={...}` for its capabilities. The settings `limit` and `also` have a `kind`, and their `per` is in seconds:

    def limiter(settings):
        if settings.limit.kind != "concurrency" or settings.also is not None:
            raise tck.NotExpressible("other limits than one of concurrency")
        return Limiter(asyncio.Semaphore(settings.limit.limit))

    class Limiter:
        def __init__(self, semaphore):
            self.semaphore = semaphore

        async def acquire(self, permits, key=None, deadline=None):
            if permits != 1:
                raise tck.Denied("never fits")
            await self.semaphore.acquire()
            return self.semaphore.release

`try_acquire(permits, key=None)` is the same, but never waits: it raises `Denied("busy")`. What is returned gives the permits back when it is called. `Denied` has one of the reasons busy (with `retry_after`, in seconds), never fits,
queue full, deadline and closed. `policy`, `limiter`, `group` and so on may be coroutine functions.

Times in settings and errors are seconds. Python 3.11 and newer; nothing else is needed.
"""
import asyncio
import functools
import heapq
import inspect
import itertools
import json
import math
import os
import platform
import random
import selectors
import signal
import sys
import threading
import time
import traceback
import weakref
from collections import deque
from collections.abc import AsyncGenerator
from types import SimpleNamespace

NANO = 1_000_000_000
CREEP = 8  # timers for now, one after the other, before the clock moves by a nanosecond
TICKS = 50_000  # times at which timers fire after the end of the pools, within the hour: what is there then is there for good
SPIN = 100_000  # turns of the loop without a nanosecond between them
BEGIN = NANO  # a rule begins at 1 s: no machine's clock is at 0, which libraries take for "never"
LONG = 10 * 365 * 86400.0  # seconds: longer than every rule, for a library that has no word for "no limit"

# The output is for lines alone: what a library prints goes to the errors.
_lines, sys.stdout = sys.stdout, sys.stderr


class Failure(Exception):
    """The error of an attempt. `hint` is as in the protocol; `after` is the wait that it asks for, in seconds, or None.

    As with real errors, the text does not tell the attempt."""

    def __init__(self, attempt, hint, after):
        super().__init__(hint)
        self.attempt, self.hint, self.after = attempt, hint, after


class Transient(Failure):
    """Worth another attempt."""


class NotSent(Transient):
    """Worth another attempt, and nothing has reached the other side."""


class Permanent(Failure):
    """Not worth another attempt."""


class NotExpressible(Exception):
    """The library has no words for these settings; the text names them."""


class GaveUp(Exception):
    """A call has ended without the error of an attempt, or with a reason."""

    def __init__(self, last=None, reason=None):
        super().__init__(reason or "gave up")
        self.last, self.reason = last, reason


class Denied(Exception):
    """A request is refused: busy, never fits, queue full, deadline or closed."""

    def __init__(self, reason="busy", retry_after=None):
        super().__init__(reason)
        self.reason, self.retry_after = reason, retry_after


class Refused(Exception):
    """A creation, a check or a reset is refused. `kind` is single, transient or fatal."""

    def __init__(self, says, kind):
        super().__init__(says)
        self.kind = kind


class Unforeseen(RuntimeError):
    """An error that nobody has foreseen."""


class NoObject(Exception):
    """A get ends without an object: timeout, create timeout, create, panic, closed or deadlock; `says` is the error behind it, if it tells."""

    def __init__(self, reason, says=None):
        super().__init__(reason)
        self.reason, self.says = reason, says


class Spins(RuntimeError):
    """Work that never waits: real time would end it, virtual time does not."""


class Timer(asyncio.TimerHandle):
    """Due at a nanosecond. Of two that are due at the same one, the first that was set is first: asyncio's heap does not say."""

    __slots__ = ("due", "length", "number")

    def __lt__(self, other):
        return (self.due, self.number) < (other.due, other.number)

    __gt__ = __le__ = __ge__ = None  # the heap needs nothing else


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is a whole number of nanoseconds, and moves only when it is told to.

    asyncio's own deadlines are floats, whose errors add up. Here a deadline is rounded once, when it is set. It is exact to
    the nanosecond up to 2^22 s (48 days); beyond that, floats have no nanoseconds.
    """

    def __init__(self, now=0):
        super().__init__(selectors.SelectSelector())
        self.now, self._set, self._turns = now, 0, 0

    def time(self):
        return self.now / NANO

    def call_at(self, when, callback, *args, context=None):
        self._check_closed()
        timer = Timer(when, callback, args, self, context)
        # The nearest nanosecond; but a timer in the future is at least one away, as in real time.
        timer.due = round(when * NANO) if math.isfinite(when) else (math.inf if when > 0 else self.now)
        timer.due = max(timer.due, self.now + (when > self.time()))
        timer.length = timer.due - self.now
        timer.number = self._set = self._set + 1
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True
        return timer

    def turn(self):
        self._turns += 1
        if self._turns > SPIN:
            self._turns = 0
            self._ready.clear()
            raise Spins(f"{SPIN} turns of the loop without an end, at {self.now} ns")

    def rest(self):
        self.stop()

    def settle(self):
        """Runs until nothing is ready."""
        self._turns = 0
        if self._ready or self._has_files():
            self.run_forever()

    def next(self):
        """The time of the next timer, in nanoseconds; infinite if there is none."""
        while self._scheduled and self._scheduled[0]._cancelled:
            self._timer_cancelled_count -= 1
            heapq.heappop(self._scheduled)._scheduled = False
        return self._scheduled[0].due if self._scheduled else math.inf

    def fire(self):
        """Fires the timers that are due, and runs until nothing is ready."""
        while self.next() <= self.now:
            timer = heapq.heappop(self._scheduled)
            timer._scheduled = False
            self._ready.append(timer)
        self.settle()

    def run_until(self, until, happened):
        """Fires one timer after another, each at its time, before `until` or now; stops when something has happened."""
        again = 0
        while not happened() and ((due := self.next()) < until or due <= self.now):
            # A remainder too small for a float is a timer for now, again and again: real time would go on meanwhile.
            again = again + 1 if due <= self.now else 0
            self.now = max(self.now + (again > CREEP), due)
            self.fire()
        if not happened():
            self.now = max(self.now, until)

    def _has_files(self):
        """Whether anything but its own pipe, which is for signals, may be ready."""
        return len(self._selector.get_map()) > 1 or getattr(self, "_signal_handlers", None)

    def _run_once(self):
        # As asyncio's own, which looks at the timers in floats, with its clock's resolution added, and blocks: here it rests.
        if self._ready:
            self.turn()
        else:
            self.rest()
        if self._has_files():
            self._process_events(self._selector.select(0))
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if not handle._cancelled:
                handle._run()
            del handle  # it may be the last that holds a task


class Operation:
    """The operation of a call: the library awaits it for each attempt. Its value is the number of the attempt."""

    def __init__(self, rule, id):
        self._rule, self._id, self._attempts, self._answers, self._responses = rule, id, 0, {}, {}

    async def __call__(self, *_args, **_kwargs):
        self._attempts += 1
        attempt, answer = self._attempts, self._rule.loop.create_future()
        self._answers[attempt] = answer
        self._rule.say("attempt", id=self._id, attempt=attempt)
        try:
            result = await answer
        except asyncio.CancelledError:
            self._rule.say("dropped", id=self._id, attempt=attempt)
            raise
        hint, after = result.get("hint"), result.get("after")
        if result["outcome"] == "error":
            kind = {"permanent": Permanent, "not sent": NotSent}.get(hint, Transient)
            raise kind(attempt, hint, _seconds(after))
        if result["outcome"] == "response":
            self._responses[attempt] = SimpleNamespace(hint=hint, after=_seconds(after))
        return attempt

    def judge(self, value):
        """The `hint` of a response that counts as a failure, and the wait `after` that it asks for; None for one to keep."""
        return self._responses.get(value)

    def observed(self, seconds=None):
        """Tells of a retry, from the library's hook; with None if the hook is told no delay."""
        if seconds is not None and math.isnan(seconds):
            return self._rule.say("broken", says="the delay of a retry is no number; a hook without a delay tells None")
        self._rule.say("observed", id=self._id, delay=None if seconds is None else _nanos(seconds))

    def keyed(self, key):
        """Tells the idempotency key of the attempt that is called next."""
        self._rule.say("keyed", id=self._id, key=str(key))


class Pools:
    """The part of a rule about pools: gets, leases, and the backend of each pool."""

    AT_ONCE = {"get", "warm", "close_pool", "return", "discard", "ended", "break", "destructor"}  # the next message follows before anything else can run

    def do_pool(self, message):
        settings = _settings(message["settings"])
        self.backends[settings.backend] = Backend(self, settings.backend)
        settings.backend, _clock.wall = self.backends[settings.backend], True
        random.seed(0)  # a pause with jitter is the same in each run

        async def make(_settings):
            pool = await _awaited(self.adapter.pool(settings))
            if hasattr(pool, "open"):
                await _awaited(pool.open())
            return pool

        self._make(message, make)

    def do_get(self, message):
        deadline = message.get("deadline")

        def start(pool):
            more = {} if deadline is None else {"timeout": _moment(deadline) - self.loop.time()}
            return self._get(message["id"], pool, pool.get(**more))

        self._pend(message, start)

    def do_warm(self, message):
        self._pend(message, lambda pool: self._tell("done", message["id"], pool.warm(message["objects"])))

    def do_close_pool(self, message):
        within = _seconds(message.get("within"))
        more = {} if within is None else {"within": within}
        self._pend(message, lambda pool: self._tell("closed", message["id"], pool.close(**more), "leases"))

    def _pend(self, message, start):
        self.pending[message["id"]] = functools.partial(start, self.made[message["pool"]])

    async def _get(self, id, pool, get):
        try:
            lease = Lease(self, pool, await get)
            if id in self.cancelled:  # it has got an object all the same
                lease()
                return self._ended(id)
            self.held[id] = lease
            self.say("got", id=id, object=lease.connection.object.number)
        except NoObject as error:
            self.say("denied", id=id, reason=error.reason, says=error.says)
        except (Refused, Unforeseen) as error:
            self.say("denied", id=id, reason="create" if isinstance(error, Refused) else "panic", says=str(error))
        except TimeoutError as error:
            cause = error.__cause__ or error.__context__
            self.say("denied", id=id, reason="timeout", says=str(cause) if isinstance(cause, (Refused, Unforeseen)) else None)
        except asyncio.CancelledError:
            self._ended(id)
        except Exception as error:
            self.say("broken", says=f"a get ends by {_said(error)}")

    async def _tell(self, event, id, call, member=None):
        try:
            value = await call
            self.say(event, id=id, **({member: value or 0} if member else {}))
        except asyncio.CancelledError:
            self._ended(id)
        except Exception as error:
            self.say("broken", says=f"it ends by {_said(error)}")

    def do_take(self, message):
        async def take():
            connection = await _awaited(self.made[message["pool"]].take())
            if connection is None:
                return self.say("none", id=message["id"])
            self.held[message["id"]] = Lease(self, self.made[message["pool"]], connection)
            self.say("got", id=message["id"], object=connection.object.number)

        self.tasks[message["id"]] = self.loop.create_task(take())

    def do_return(self, message):
        self.do_release(message)

    def do_discard(self, message):
        self.held.pop(message["id"]).end("discard")

    def do_detach(self, message):
        lease = self.held.pop(message["id"])
        lease.connection.object.is_free = True  # it is its user's
        lease.end("detach")

    def do_resize(self, message):
        self.background(self.made[message["pool"]].resize(message["max"]))

    def do_retire(self, message):
        self.background(self.made[message["pool"]].retire())

    def do_snapshot(self, message):
        self.say("snapshot", id=message["id"], **self.made[message["pool"]].snapshot())

    def do_drop_pool(self, message):
        self.dropped.append(self.made.pop(message["pool"]))

    def do_ended(self, message):
        self.backends[message["backend"]].ended(message)

    def do_break(self, message):
        self.backends[message["backend"]].objects[message["object"]].is_broken = True

    def do_destructor(self, message):
        asks = functools.partial(self._ask_and_leave, self.made[message["pool"]]) if message["does"] == "asks" else None
        self.backends[message["backend"]].objects[message["object"]].destructor = asks or _panics

    def _ask_and_leave(self, pool):
        def left(task):
            if not task.cancelled() and task.exception() is None:
                Lease(self, pool, task.result())()

        task = self.loop.create_task(pool.get())
        task.add_done_callback(left)
        self.loop.call_soon(task.cancel)

    def background(self, work):
        """What a caller has begun, and nobody waits for. Its error is that of its caller."""

        async def run():
            try:
                await _awaited(work)
            except Exception as error:
                print("ignored:", _said(error), file=sys.stderr)

        self.loop.create_task(run())

    def end_pools(self):
        """Ends the pools, as their user would at the end of a program. No task, no timer and no object may be left then."""
        pools = self.dropped + [made for made in self.made.values() if hasattr(made, "end")]
        if not self.backends:
            return
        begun, ticks, self.is_over = self.loop.now, itertools.count(1), True  # nothing is told any more, and nothing fails
        an_hour_later, is_enough = begun + 3600 * NANO, lambda: next(ticks) > TICKS
        for backend in self.backends.values():
            backend.recover()

        async def end(pool):
            await _awaited(pool.end())

        ends = [self.loop.create_task(end(pool)) for pool in pools if hasattr(pool, "end")]
        try:
            self.loop.settle()
            self.loop.run_until(an_hour_later, lambda: all(end.done() for end in ends) or is_enough())
            self.loop.run_until(an_hour_later, is_enough)
            self.loop.settle()
        except Spins as spins:  # told here, since `say` tells nothing any more
            self.loop.now = begun
            return self.events.append({"event": "failed", "says": f"at the end of the pools: {spins}"})
        for error in filter(None, (end.exception() for end in ends if end.done() and not end.cancelled())):
            print("ignored:", _said(error), file=sys.stderr)
        tasks = [task for task in asyncio.all_tasks(self.loop) if not task.done()]
        alive = [one.number for backend in self.backends.values() for one in backend.objects.values() if not one.is_free]
        timers = [timer for timer in self.loop._scheduled if not timer.cancelled()]
        left = [f"task {task.get_coro().__qualname__}" for task in tasks] + [f"object {number}" for number in alive]
        left += [f"a timer of {timer.length / NANO:g} s" for timer in timers]
        when = f"{TICKS} ticks of timers" if self.loop.now < an_hour_later else "an hour"
        self.loop.now = begun
        if left:
            self.events.append({"event": "failed", "says": f"left alive {when} after the end: {', '.join(left)}"})


class Rule(Pools):
    """Everything that one rule has made."""

    def __init__(self, adapter, at):
        self.adapter, self.loop, self.events = adapter, VirtualLoop(BEGIN + at), []
        self.made, self.pending, self.tasks, self.held, self.operations = {}, {}, {}, {}, {}
        self.cancelled, self.is_over, self.groups, self.streams = set(), False, Groups(self), Streams(self)
        self.backends, self.dropped = {}, []
        _clock.loop, _clock.wall = self.loop, False
        asyncio.set_event_loop(self.loop)

    @property
    def now(self):
        """Its time as the suite has it."""
        return self.loop.now - BEGIN

    def say(self, event, **members):
        if not self.is_over:
            self.events.append({"event": event, **members})

    def play(self, line):
        at, until = BEGIN + _whole(line["at"]), BEGIN + _whole(line["until"])
        if at > self.loop.now:
            late, self.loop.now = self.loop.next() < at, at
            if late:
                self.loop.fire()
        for message in line["messages"]:
            try:
                name = "do_" + message["do"]
                if not self.streams.play(message):
                    (getattr(self, name, None) or getattr(self.groups, name))(message)
            except (AttributeError, KeyError, TypeError) as error:
                self.say("broken", says=f"{message}: {_said(error)}")
            if self.is_over:
                return
            if message["do"] not in self.AT_ONCE:
                self.loop.settle()
        self.loop.settle()
        self.loop.run_until(until, lambda: self.groups.look() or self.events)

    def do_begin(self, _message):
        pass

    def do_end(self, _message):
        for task in self.tasks.values():
            task.cancel()
        self.loop.settle()
        self.events.clear()
        self.groups.end()
        self.streams.end()
        self.end_pools()
        self.loop.close()
        self.is_over = True

    def _make(self, message, make):
        """Makes it in the loop, where a function that is a coroutine is awaited."""
        id, settings = message["id"], _settings(message["settings"])

        async def configure():
            try:
                self.made[id] = await _awaited(make(settings))
                self.say("configured", id=id)
            except NotExpressible as why:
                self.say("not expressible", id=id, says=str(why))
            except Exception as error:
                self.refused(id, error)

        self.tasks[id] = self.loop.create_task(configure())

    def refused(self, id, error):
        """Settings end by an error: the library refuses them, unless the adapter itself has divided by zero or the like, and not asked it."""
        own = __file__, getattr(sys.modules["__main__"], "__file__", None)
        is_fault = isinstance(error, (ArithmeticError, AttributeError, LookupError, NameError))
        if is_fault and traceback.extract_tb(error.__traceback__)[-1].filename in own:
            self.say("broken", says=f"the adapter fails at these settings: {_said(error)}")
        else:
            self.say("refused", id=id, says=_said(error))

    def do_policy(self, message):
        def policy(settings):
            if settings.deadline is not None:  # a moment
                settings.deadline += BEGIN / NANO
            return self.adapter.policy(settings)

        self._make(message, policy)

    def do_limiter(self, message):
        self._make(message, self.adapter.limiter)

    def do_call(self, message):
        id = message["id"]
        operation = self.operations[id] = Operation(self, id)
        try:
            call = self.made[message["policy"]](operation)
        except Exception as error:
            call = _raise(error)
        self.pending[id] = call

    async def _call(self, id, call):
        try:
            value = await call
            if not isinstance(value, int):
                return self.say("broken", says=f"the value of a call is {value!r}")
            self.say("end", id=id, ok=value)
        except Failure as error:
            self.say("end", id=id, error=error.attempt)
        except GaveUp as error:
            self.say("end", id=id, error=getattr(error.last, "attempt", None), reason=error.reason)
        except asyncio.CancelledError:
            self._ended(id)
        except Exception as error:
            self.say("broken", says=f"a call ends by {_said(error)}")

    def _ended(self, id):
        if id in self.cancelled:
            self.say("end", id=id, cancelled=True)
        else:
            self.say("broken", says="it is cancelled, but not by the suite")

    def do_start(self, message):
        id = message["id"]
        pending = self.pending.pop(id)
        if isinstance(pending, (Run, Program)):
            return pending.start()
        if isinstance(pending, functools.partial):
            run = pending()
        else:
            run = self._ask(id, pending) if inspect.isfunction(pending) else self._call(id, pending)
        self.tasks[id] = self.loop.create_task(run)

    def do_cancel(self, message):
        id = message["id"]
        self.cancelled.add(id)
        if id in self.pending:
            # Never awaited, and that is as it should be.
            getattr(self.pending.pop(id), "close", lambda: None)()
            self._ended(id)
        elif id in self.held:
            self.do_release(message)
        elif id in self.tasks:
            self.tasks[id].cancel()

    def do_result(self, message):
        answer = self.operations[message["id"]]._answers.pop(message["attempt"])
        if not answer.done():
            answer.set_result(message)

    def do_acquire(self, message):
        limiter = self.made[message["limiter"]]
        more = {name: message[name] for name in ("key",) if message.get(name) is not None}
        if message.get("deadline") is not None:
            more["deadline"] = _moment(message["deadline"])
        self.pending[message["id"]] = lambda: limiter.acquire(message["permits"], **more)

    def do_reserve(self, message):
        limiter = self.made[message["limiter"]]
        self.pending[message["id"]] = lambda: limiter.reserve(message["permits"])

    def do_try(self, message):
        limiter = self.made[message["limiter"]]
        more = {"key": message["key"]} if message.get("key") is not None else {}
        asked = self._ask(message["id"], lambda: limiter.try_acquire(message["permits"], **more))
        self.tasks[message["id"]] = self.loop.create_task(asked)

    async def _ask(self, id, ask):
        try:
            held = ask()
            if inspect.isawaitable(held):
                held = await held
            self.held[id] = held
            if id in self.cancelled:  # it was granted all the same
                self.do_release({"id": id})
                return self._ended(id)
            self.say("granted", id=id)
        except Denied as denied:
            after = None if denied.retry_after is None else _nanos(denied.retry_after)
            self.say("denied", id=id, reason=denied.reason, retry_after=after)
        except asyncio.CancelledError:
            self._ended(id)
        except Exception as error:
            self.say("broken", says=f"a request ends by {_said(error)}")

    def do_release(self, message):
        held = self.held.pop(message["id"], None)
        if callable(held):
            held()

    def do_settle(self, message):
        self.held.pop(message["id"])(message["used"])

    def do_change(self, message):
        limiter = self.made[message["limiter"]]
        for name in ("rate", "burst", "limit", "refund", "penalty", "close"):
            if message.get(name) is not None:
                value = message[name]
                value = _settings(value) if name == "rate" else _seconds(value) if name == "penalty" else value
                limiter.change(name, value)

    def do_keys(self, message):
        self.say("keys", id=message["id"], keys=self.made[message["limiter"]].keys())


class TaskFailed(Exception):
    """The error of a task. `task` is its number; 0 is the body of its group."""

    def __init__(self, task):
        super().__init__(f"task {task} failed")
        self.task = task


class TaskPanicked(Exception):
    """The bug of a task, as an assertion that fails. `task` is its number; 0 is the body of its group."""

    def __init__(self, task):
        super().__init__(f"task {task} panicked")
        self.task = task


class Probe:
    """A task or a body, whose script the suite has: it carries out orders, and tells its steps."""

    def __init__(self, groups, id, number, panics_when_dropped=False):
        self._groups, self._id, self._number, self._panics = groups, id, number, panics_when_dropped
        self._orders, self._waker, self.coroutine, self.has_begun, self.is_over = deque(), None, None, False, False

    def tell(self, event, **members):
        if not self._groups.rule.is_over:
            self._groups.rule.say(event, id=self._id, **members)

    def order(self, kind, value=None):
        if self.is_over:
            return  # a task that it was to spawn is dropped
        self._orders.append((kind, value))
        if self._waker and not self._waker.done():
            self._waker.set_result(None)

    def make(self, spawn, drained):
        """Its coroutine, which may never begin."""
        coroutine = self._run(spawn, drained)
        self.coroutine = weakref.ref(coroutine, lambda _: self.look())
        return coroutine

    def look(self):
        """Tells that it is dropped, if it is gone before its begin."""
        if self.has_begun or self.is_over or self.coroutine is None:
            return
        coroutine = self.coroutine()
        if coroutine is None or inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED:
            self.drop()

    def drop(self):
        self.is_over = True
        self._orders.clear()
        self.tell("dropped")

    async def _run(self, spawn, drained):
        self.has_begun, looker = True, None
        self.tell("began")
        try:
            while True:
                while not self._orders:
                    self._waker = asyncio.get_running_loop().create_future()
                    await self._waker
                kind, value = self._orders.popleft()
                if kind == "look" and drained is not None:
                    looker = asyncio.get_running_loop().create_task(self._look(drained))
                elif kind == "spawn":
                    _spawn(spawn, value)
                    del value  # a task that was refused is gone
                elif kind == "await":
                    await value
                elif kind in ("ok", "error", "panic"):
                    self.is_over = True
                    self.tell("ended")
                    if kind == "ok":
                        return
                    raise (TaskFailed if kind == "error" else TaskPanicked)(self._number)
        finally:
            if looker:
                looker.cancel()
            if not self.is_over:
                self.drop()
                if self._panics:
                    raise TaskPanicked(self._number)

    async def _look(self, drained):
        reason = await drained()
        self.tell("drained", reason=reason if isinstance(reason, str) else None)


def _spawn(spawn, task):
    try:
        spawn(task)
    except Exception:
        pass  # it is refused


class Task:
    """A task that a group or a program is to run: call it for its coroutine.

    It has a `name`; in a group a `shield` in seconds, or None; in a program a `phase`, and `is_vital`.
    `spawn(task)` puts another task into the same group; `drained()`, a coroutine, ends when the task is asked to end, with the reason.
    """

    def __init__(self, groups, message):
        number = message["task"]
        self._probe = Probe(groups, message["id"], number, message.get("panics_when_dropped", False))
        groups.probes[message["id"]] = self._probe
        self.number, self.name, self.shield = number, f"task {number}", _seconds(message.get("shield"))
        self.phase, self.is_vital = message.get("phase", 0), message.get("vital", False)

    def __call__(self, spawn=None, drained=None):
        return self._probe.make(spawn, drained)

    def __del__(self):
        if self._probe.coroutine is None:
            self._probe.drop()


class Body:
    """The body of a group: `await body(spawn)` runs it; `spawn(task)` puts a task into the group.

    A group that has no body takes its `tasks`, all of them. `hand_out(spawn)` leaves a handle that may outlive the group.
    """

    def __init__(self, groups, message):
        self._groups, self._id, self.tasks = groups, message["id"], None
        if message.get("tasks") is not None:
            self.tasks = [Task(groups, task) for task in message["tasks"]]
            return
        self._probe = groups.probes[self._id] = Probe(groups, self._id, 0)

    def __call__(self, spawn):
        return self._probe.make(spawn, None)

    def hand_out(self, spawn):
        self._groups.handles[self._id] = spawn

    def __del__(self):
        if self.tasks is None and self._probe.coroutine is None:
            self._probe.drop()


class Run:
    """A group that is made. It runs by itself, or a task awaits it."""

    def __init__(self, groups, message, run):
        self._groups, self._id, self._by = groups, message["id"], message.get("by")
        self._whole = self._run(run)

    def start(self):
        if self._by is None:
            self._groups.rule.tasks[self._id] = self._groups.rule.loop.create_task(self._whole)
        else:
            self._groups.probes[self._by].order("await", self._whole)

    def close(self):
        self._whole.close()

    async def _run(self, run):
        rule, failures = self._groups.rule, []
        try:
            await run
        except asyncio.CancelledError:
            self._groups.look()
            if self._by is None:
                return rule._ended(self._id)
            rule.say("end", id=self._id, cancelled=True)
            raise
        except (Exception, BaseExceptionGroup) as error:
            failures = list(_failures(error))
        finally:
            run = None
        self._groups.look()
        for error in failures:
            if not isinstance(error, dict):
                return rule.say("broken", says=f"a group ends by {_said(error)}")
        rule.say("end", id=self._id, failures=failures)


def _failures(error):
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _failures(inner)
    elif isinstance(error, (TaskFailed, TaskPanicked)):
        yield {"kind": "error" if isinstance(error, TaskFailed) else "panic", "task": error.task}
    elif isinstance(error, TimeoutError):
        yield {"kind": "deadline"}
    elif isinstance(error, (asyncio.CancelledError, KeyboardInterrupt)):
        yield {"kind": "stopped"}
    else:
        yield error


class Main:
    """The main thread, the only one that hears signals: it runs programs, and the lines are on a thread of their own. One of them waits."""

    def __init__(self):
        self._job, self._go, self._back = None, threading.Lock(), threading.Lock()
        self._go.acquire()
        self._back.acquire()

    def serve(self, lines):
        threading.Thread(target=lines, daemon=True).start()
        while True:
            self._go.acquire()
            job, self._job = self._job, None
            if job is None:
                return
            job()
            self._back.release()

    def run(self, job):
        """From the lines: runs a job on the main thread, until it rests or ends."""
        self._job = job
        self.go_on()

    def end(self):
        self._go.release()

    def go_on(self):
        self._go.release()
        self._back.acquire()

    def rest(self):
        """From a job: the lines go on."""
        self._back.release()
        self._go.acquire()


_main = Main()


class Abandoned(BaseException):
    """The rule is over, and the program goes on though it was cancelled."""


class ProgramLoop(VirtualLoop):
    """The loop of a program that runs by itself, as under `asyncio.Runner`: where it would wait, the suite has its turn."""

    def __init__(self, rule):
        self._rule, self._outer, self.main, self.is_abandoned = rule, rule.loop, None, False
        super().__init__(rule.loop.now)
        rule.loop = _clock.loop = self

    def run_until_complete(self, future):
        self.main = asyncio.ensure_future(future, loop=self)
        return super().run_until_complete(self.main)

    def rest(self):
        if not self.is_abandoned:
            _main.rest()
        if self.is_abandoned:
            raise Abandoned

    def settle(self):
        self._turns = 0
        _main.go_on()

    def close(self):
        if not self.is_closed():
            self._outer.now = self.now
            self._rule.loop = _clock.loop = self._outer
        super().close()


class Parts:
    """The parts of a program: `tasks`, `clean_ups` to run when they have ended, and `guards`, work beside it. Each is a `Task`.

    `loop` makes an event loop, for `asyncio.Runner(loop_factory=parts.loop)`. `start_up()` is the work between making the program
    and running it, a coroutine; `not_ready()` is to be called when the program is asked to stop.
    """

    def __init__(self, groups, message):
        self._groups, self._id = groups, message["id"]
        self.tasks, self.clean_ups, self.guards = (
            [Task(groups, task) for task in message[name]] for name in ("tasks", "clean_ups", "guards")
        )
        self._start_up = None
        if message.get("start_up") is not None:
            self._start_up = Task(groups, {"id": message["start_up"], "task": 0})

    def loop(self):
        return ProgramLoop(self._groups.rule)

    async def start_up(self):
        start_up, self._start_up = self._start_up, None
        if start_up is not None:
            await start_up()

    def not_ready(self):
        self._groups.rule.say("not ready", id=self._id)


class Program:
    """A program that is made. It runs on the main thread."""

    def __init__(self, groups, message, run):
        self._groups, self._id, self._run, self._parts = groups, message["id"], run, Parts(groups, message)
        self._is_cancelled = self._has_ended = False

    def start(self):
        self._groups.rule.tasks[self._id] = self
        _main.run(self._whole)

    def close(self):
        self._parts = None

    def cancel(self):
        """Cancels the main task; at the end of the rule also what does not mind it."""
        if self._has_ended:
            return
        self._is_cancelled, loop = True, self._groups.rule.loop
        loop.call_soon(loop.main.cancel)

    def end(self):
        loop = self._groups.rule.loop
        if not self._has_ended and isinstance(loop, ProgramLoop):
            loop.is_abandoned = True
            loop.settle()

    def _whole(self):
        rule, failures, code, parts, self._parts = self._groups.rule, [], None, self._parts, None
        try:
            code = self._run(parts)
        except Spins as spins:
            rule.say("failed", says=str(spins))
        except BaseException as error:
            failures = list(_failures(error))
        self._has_ended, parts = True, None
        self._groups.look()
        if self._is_cancelled:
            return rule.say("end", id=self._id, cancelled=True)
        for error in failures:
            if not isinstance(error, dict):
                return rule.say("broken", says=f"a program ends by {_said(error)}")
        rule.say("end", id=self._id, failures=failures, code=code)


class Groups:
    """The groups and programs of a rule, and their tasks."""

    def __init__(self, rule):
        self.rule, self.probes, self.handles = rule, {}, {}

    def look(self):
        for probe in list(self.probes.values()):
            probe.look()

    def end(self):
        """What the library has left alive is a fault."""
        for run in self.rule.tasks.values():
            if isinstance(run, Program):
                run.end()
        left = [probe for probe in self.probes.values() if probe.has_begun and not probe.is_over]
        if left:
            self.rule.say("failed", says=", ".join(f"task {probe._number}" for probe in left) + " is left alive")

    def do_group(self, message):
        self.rule._make(message, self.rule.adapter.group)

    def do_run(self, message):
        if "program" in message:
            program = self.rule.made[message["program"]]
            self.rule.pending[message["id"]] = Program(self, message, program)
            return
        group, body = self.rule.made[message["group"]], Body(self, message)
        self.rule.pending[message["id"]] = Run(self, message, group(body))

    def do_spawn(self, message):
        task, by = Task(self, message), message.get("by")
        if by is not None:
            self.probes[by].order("spawn", task)
        elif message["run"] in self.handles:
            _spawn(self.handles[message["run"]], task)

    def do_program(self, message):
        self.rule._make(message, self.rule.adapter.program)

    def do_signal(self, message):
        """Sends a signal to this process. Its handlers run on the main thread."""
        signal.raise_signal(getattr(signal, message["name"]))
        if not isinstance(self.rule.loop, ProgramLoop):
            _main.run(lambda: None)

    def do_look(self, message):
        self.probes[message["id"]].order("look")

    def do_results(self, message):
        for result in message["of"]:
            self.probes[result["id"]].order(result["outcome"])


class Lease:
    """An object in use; called, it is returned. The adapter's pool has `release(connection)`, and others where it supports them."""

    def __init__(self, rule, pool, connection):
        self._rule, self._pool, self.connection = rule, pool, connection

    def __call__(self):
        self.end("release")

    def end(self, how):
        self._rule.background(getattr(self._pool, how)(self.connection))


class Backend:
    """Makes the objects of a pool, as the script of a rule says, which is on the suite's side."""

    def __init__(self, rule, id):
        self._rule, self._id, self._steps, self._answers = rule, id, 0, {}
        self.objects = {}

    async def create(self):
        """Creates an `Object`, or raises `Refused`, or another error that nobody has foreseen."""
        number = len(self.objects) + 1
        self.objects[number] = object = Object(self, number)
        try:
            await self.step("create", number)
        except BaseException:
            object.is_free = True
            raise
        return object

    def object(self):
        """An `Object` that is there at once, for a library that creates none itself."""
        number = len(self.objects) + 1
        self.objects[number] = Object(self, number)
        self._rule.say("there", id=self._id, object=number)
        return self.objects[number]

    async def step(self, what, number):
        if self._rule.is_over:
            return
        self._steps += 1
        step, answer = self._steps, self._rule.loop.create_future()
        self._answers[step] = answer
        self._rule.say(what, id=self._id, step=step, object=number)
        try:
            ended = await answer
        except BaseException:
            self._rule.say("dropped", id=self._id, step=step)
            raise
        finally:
            del self._answers[step]
        if ended["outcome"] == "error":
            raise Refused(ended["says"], ended["kind"])
        if ended["outcome"] == "panic":
            raise Unforeseen(ended["says"])

    def ended(self, message):
        answer = self._answers.get(message["step"])
        if answer is not None and not answer.done():
            answer.set_result(message)

    def recover(self):
        """What hangs comes to its end."""
        for answer in self._answers.values():
            if not answer.done():
                answer.set_result({"outcome": "ok"})

    def free(self, object):
        self._rule.say("free", id=self._id, object=object.number)


class Object:
    """An object of a pool: `await check()`, `await reset()`, and `free()` when it is closed. `is_broken` is as its last user has found.

    It is the far end of a connection. The connection itself is the adapter's: a class of the library over it, or one that has what the
    library asks of a connection and this as its `object`.
    """

    def __init__(self, backend, number):
        self._backend, self.number, self.is_broken, self.is_free, self.destructor = backend, number, False, False, None

    @property
    def is_open(self):
        """Whether its server would answer."""
        return not self.is_broken and not self.is_free

    async def check(self):
        await self._backend.step("check", self.number)

    async def reset(self):
        await self._backend.step("reset", self.number)

    def free(self):
        if not self.is_free:
            self.is_free = True
            self._backend.free(self)
            if self.destructor is not None:
                self.destructor()


def _panics():
    raise Unforeseen("the destructor panics")


async def _awaited(value):
    return await value if inspect.isawaitable(value) else value


async def _raise(error):
    raise error


def _said(error):
    return f"{type(error).__name__}: {error}"[:300]


def _whole(time):
    return int(time)


def _time(nanos):
    return nanos if nanos < 2**53 else str(nanos)


def _nanos(seconds):
    """A time of the library; one below zero, or that is no number, is none."""
    if not seconds > 0:
        return 0
    return _time(round(seconds * NANO) if math.isfinite(seconds) else 2**64 * NANO)


def _seconds(time):
    return None if time is None else int(time) / NANO


def _moment(time):
    """A moment on the clock of the loop."""
    return None if time is None else (BEGIN + int(time)) / NANO


# The settings that are times.
_TIMES = {
    "initial", "cap", "total_timeout", "attempt_timeout", "deadline", "reset_after", "max_retry_after", "stop_after", "per",
    "grace", "again_after", "pre_stop", "alone_after", "within",
    "acquire_timeout", "create_timeout", "check_timeout", "validate_after", "idle_timeout", "max_lifetime",
}


def _settings(value):
    members = {}
    for name, member in value.items():
        if isinstance(member, dict):
            member = _settings(member)
        elif name in _TIMES:
            member = _seconds(member)
        elif isinstance(member, str) and name == "factor":
            member = float(member)
        elif isinstance(member, str) and name == "seed":
            member = int(member)
        members[name] = member
    return SimpleNamespace(**members)


class _Clock:
    loop = None
    wall = False

    def seconds(self):
        return self.loop.time()

    def nanos(self):
        return self.loop.now


_clock = _Clock()
_clock.loop = VirtualLoop()
asyncio.set_event_loop(_clock.loop)
time.monotonic = time.perf_counter = _clock.seconds
time.monotonic_ns = time.perf_counter_ns = _clock.nanos
# The wall clock stands still: it may be set at any time, and no limit is to be measured on it. In rules about pools it goes.
_wall = time.time()
time.time = lambda: _wall + _clock.seconds() * _clock.wall


class ItemError(Exception):
    """The error of an item, of a source or of a page, by its number."""

    def __init__(self, number):
        super().__init__(f"error {number}")
        self.number = number


class Panic(ItemError):
    """Where a rule asks for a panic: an error of another class."""


class Closed(Exception):
    """A queue takes no more items, or there will be no more."""


class Item:
    """An item, with its `number`, `key`, `weight` and `ends_batch`. The function of a map awaits `run()`."""

    def __init__(self, streams, described):
        self._streams, self.id = streams, described["id"]
        self.number, self.key, self.weight = described["number"], described["key"], described["weight"]
        self.ends_batch, self._panics = described.get("ends_batch", False), described.get("panics_at_call", False)

    def run(self):
        """The work; its value is the number."""
        if self._panics:
            self._streams.say("begin", id=self.id)
            raise Panic(self.number)
        return self._run()

    async def _run(self):
        try:
            outcome = (await self._streams.ask("begin", self.id))["outcome"]
        except asyncio.CancelledError:
            self._streams.say("dropped", id=self.id)
            raise
        self._streams.say("ended", id=self.id)
        if outcome != "ok":
            raise (Panic if outcome == "panic" else ItemError)(self.number)
        return self.number


class Source(AsyncGenerator):
    """The source of an operator: an async generator of items, which tells who asks after its end. It is closed, or let go."""

    def __init__(self, streams, described):
        self._streams, self._id = streams, described["id"]
        self._state = SimpleNamespace(steps=deque(described["give"]), more=None, has_ended=False)
        # It does not know the source: who lets go of that one lets go of both.
        self._items = _items(streams, self._id, self._state)

    def __anext__(self):
        if self._state.has_ended:
            self._streams.say("asked again", id=self._id)
        return self._items.__anext__()

    def asend(self, value):
        return self._items.asend(value)

    def athrow(self, *error):
        return self._items.athrow(*error)

    def aclose(self):
        return self._items.aclose()

    def __getattr__(self, name):
        return getattr(self._items, name)  # whether it is running

    def give(self, steps):
        self._state.steps.extend(steps)
        if self._state.more is not None and not self._state.more.done():
            self._state.more.set_result(None)


async def _items(streams, id, state):
    try:
        while True:
            if not state.steps:
                streams.say("pull", id=id)
                state.more = streams.loop.create_future()
                await state.more
                continue
            step = state.steps.popleft()
            streams.say("given", id=id)
            if "end" in step:
                state.has_ended = True
                return
            if "panic" in step:
                raise Panic(0)
            if "error" in step:
                raise ItemError(step["error"])
            yield Item(streams, step["item"])
    finally:
        streams.say("dropped", id=id)


class Output:
    """A stream of the library, which is asked for one result after another. One with a context is entered first."""

    def __init__(self, streams, id, stream):
        self.streams, self.id, self.stream, self.iterator, self.asking = streams, id, stream, None, None

    async def next(self):
        say = self.streams.say
        try:
            if self.iterator is None:
                enter = getattr(self.stream, "__aenter__", None)
                self.iterator = aiter(await enter() if enter else self.stream)
            value = await anext(self.iterator)
        except StopAsyncIteration:
            say("over", id=self.id)
        except Exception as error:
            say("failure", id=self.id, **_failure(error))
        else:
            say("value", id=self.id, **_value(value))

    async def close(self):
        leave = getattr(self.stream, "__aexit__", None) if self.iterator is not None else None
        if leave:
            await leave(None, None, None)
        elif aclose := getattr(self.iterator or self.stream, "aclose", None):
            await aclose()
        self.streams.say("end", id=self.id, cancelled=True)


class Streams:
    """The part of streams and queues.

    `operator(settings)` returns a function for each `settings.kind`. For a map, a batch, a merge and a generator it takes the
    `Source`s, and returns an async iterable, or an async context manager of one: of the numbers of a map, of items, or of lists of
    items. For pages it takes `page(cursor)`, which returns the items and the next cursor. A merge may have `add(source)` and `no_more()`. For a map without the capability `stream` it
    takes a source and a consumer, whose `take(number)` and `failed(error)` return whether the map is to end.

    For a queue it takes nothing, and returns an object with those of `push(item)`, `pop()` and `join()`, which are awaited,
    `finish(item)`, `put_back(item)`, `producers_gone()`, `consumers_gone()`, `close()`, `close_now()`, which returns items, and
    `workers(number, close_after)`, which is awaited and returns the errors and the items left, that it supports. `Closed` is its end.
    """

    def __init__(self, rule):
        self.rule, self.loop, self.say = rule, rule.loop, rule.say
        self.calls, self.answers, self.sources, self.outputs, self.queues = 0, {}, weakref.WeakValueDictionary(), {}, {}
        self.consumers, self.popped, self.waits, self.tasks, self.closing, self.is_used = {}, {}, {}, {}, set(), False

    def play(self, message):
        """Carries out a message, if it is of this part."""
        name, id = message["do"].replace(" ", "_"), message.get("id")
        if name in ("start", "cancel", "release", "result"):
            mine = {"result": self.answers, "release": self.popped}.get(name, self.waits | self.tasks | self.outputs)
            if (id, 0) not in mine and id not in mine:
                return False
        do = getattr(self, "do_" + name, None)
        if do:
            do(message)
        return do is not None

    async def ask(self, event, id, call=0, **members):
        """Tells an event that the suite answers."""
        answer = self.answers[id, call] = self.loop.create_future()
        self.say(event, id=id, **members)
        return await answer

    def reply(self, message, call=0):
        answer = self.answers.pop((message["id"], call))
        if not answer.done():
            answer.set_result(message)

    def end(self):
        """Nothing of the library may be left alive: the suite has dropped all that it has made."""
        if not self.is_used:
            return
        mine = {*self.tasks.values(), *self.closing, *(output.asking for output in self.outputs.values())}
        left = [task for task in asyncio.all_tasks(self.loop) if task not in mine]
        if left:
            names = ", ".join(sorted({task.get_coro().__qualname__ for task in left}))
            self.say("failed", says=f"{len(left)} tasks are left alive: {names}")

    def do_operator(self, message):
        self.is_used = True
        self.rule._make(message, self.rule.adapter.operator)

    def source(self, described):
        source = self.sources[described["id"]] = Source(self, described)
        return source

    def do_stream(self, message):
        id, make = message["id"], self.rule.made[message["operator"]]
        if message.get("fetch") is not None:
            self.outputs[id] = Output(self, id, make(lambda cursor: self.page(message["fetch"], cursor)))
            return
        made = make(*map(self.source, message["sources"]), *_wanted(make, len(message["sources"]), Consumer(self, id)))
        # Some streams can be awaited, too.
        if hasattr(made, "__aiter__") or hasattr(made, "__aenter__"):
            self.outputs[id] = Output(self, id, made)
        else:
            self.waits[id] = lambda: self.run(id, made)

    async def run(self, id, made):
        try:
            await made
        except Exception as error:
            self.say("failure", id=id, **_failure(error))
        else:
            self.say("over", id=id)

    def do_next(self, message):
        output = self.outputs[message["id"]]
        output.asking = self.loop.create_task(output.next())

    def do_cut(self, message):
        self.outputs[message["id"]].asking.cancel()

    def do_give(self, message):
        if source := self.sources.get(message["id"]):
            source.give(message["give"])

    def do_result(self, message):
        self.reply(message)

    def do_page(self, message):
        self.reply(message, message["call"])

    def do_taken(self, message):
        self.reply(message, message["take"])

    def do_add(self, message):
        self.outputs[message["id"]].stream.add(self.source(message["source"]))

    def do_rest(self, message):
        rest = self.outputs[message["of"]].stream.rest()
        self.say("items", id=message["id"], items=[item.id for item in rest])

    async def page(self, id, cursor):
        self.calls += 1
        call = self.calls
        try:
            page = await self.ask("fetch", id, call, call=call, cursor=cursor)
        except asyncio.CancelledError:
            self.say("dropped", id=id, call=call)
            raise
        if page.get("error") is not None:
            raise ItemError(page["error"])
        return [Item(self, described) for described in page["items"]], page["next"]

    def do_queue(self, message):
        id, make = message["id"], self.rule.made[message["operator"]]
        try:
            self.queues[id] = self.consumers[message["consumer"]] = make()
            self.say("configured", id=id)
        except Exception as error:
            self.rule.refused(id, error)

    def do_consumer(self, message):
        self.consumers[message["id"]] = self.consumers[message["of"]]

    def wait(self, message, wait):
        self.waits[message["id"]] = wait

    def do_push(self, message):
        id, queue, item = message["id"], self.queues[message["queue"]], Item(self, message["item"])
        self.wait(message, lambda: self.answer(id, queue.push(item), lambda _: self.say("pushed", id=id)))

    def do_join(self, message):
        id, queue = message["id"], self.queues[message["queue"]]
        self.wait(message, lambda: self.answer(id, queue.join(), lambda _: self.say("joined", id=id)))

    def do_pop(self, message):
        id, queue = message["id"], self.consumers[message["consumer"]]

        def popped(item):
            self.popped[id] = queue, item
            self.say("popped", id=id, item=item.id)

        self.wait(message, lambda: self.answer(id, queue.pop(), popped, "over"))

    def do_workers(self, message):
        id, queue = message["id"], self.consumers[message["consumer"]]

        def worked(account):
            errors, left = account
            failures, unstarted = [_failure(error) for error in errors], [item.id for item in left]
            self.say("worked", id=id, failures=failures, unstarted=unstarted)

        close_after = _seconds(message.get("close_after"))
        self.wait(message, lambda: self.answer(id, queue.workers(message["number"], close_after), worked))

    async def answer(self, id, waited, done, closed="rejected"):
        try:
            done(await waited)
        except Closed:
            self.say(closed, id=id, back=True)
        except asyncio.CancelledError:
            self.say("end", id=id, cancelled=True)
        except Exception as error:
            self.say("broken", says=f"a wait for a queue ends by {_said(error)}")

    def do_start(self, message):
        id = message["id"]
        self.tasks[id] = self.loop.create_task(self.waits.pop(id)())

    def do_cancel(self, message):
        id = message["id"]
        if self.waits.pop(id, None):
            self.say("end", id=id, cancelled=True)
        elif id in self.outputs:
            output = self.outputs.pop(id)
            if output.asking:
                output.asking.cancel()
                self.loop.settle()
            self.closing.add(self.loop.create_task(output.close()))
        else:
            self.tasks[id].cancel()

    def do_release(self, message):
        queue, item = self.popped.pop(message["id"])
        # A consumer that fails before it has said that the item is finished does not say so.
        if not message.get("panicked") and hasattr(queue, "finish"):
            queue.finish(item)

    def do_put_back(self, message):
        queue, item = self.popped.pop(message["id"])
        queue.put_back(item)

    def do_drop(self, message):
        if output := self.outputs.get(message["id"]):
            output.stream.no_more()
        elif queue := self.queues.get(message["id"]):
            queue.producers_gone()
        elif (queue := self.consumers.pop(message["id"])) not in self.consumers.values():
            queue.consumers_gone()

    def do_close(self, message):
        self.consumers[message["consumer"]].close()

    def do_close_now(self, message):
        items = self.consumers[message["consumer"]].close_now()
        self.say("items", id=message["id"], items=[item.id for item in items])


class Consumer:
    """The consumer of a map that has no stream."""

    def __init__(self, streams, id):
        self._streams, self._id = streams, id

    async def take(self, number):
        return await self._take(ok=number)

    async def failed(self, error):
        return await self._take(**_failure(error))

    async def _take(self, **result):
        self._streams.calls += 1
        take = self._streams.calls
        return (await self._streams.ask("take", self._id, take, take=take, **result)).get("stop", False)


def _wanted(make, sources, consumer):
    """The consumer, if the function takes one more than the sources."""
    try:
        inspect.signature(make).bind(*range(sources))
        return []
    except TypeError:
        return [consumer]


def _value(value):
    if isinstance(value, Item):
        return {"item": value.id}
    return {"items": [item.id for item in value]} if isinstance(value, (list, tuple)) else {"ok": value}


def _failure(error):
    kind = "panic" if isinstance(error, Panic) else "error"
    return {"kind": kind, "of": getattr(error, "number", None), "says": _said(error)}


def serve(
    library, version, *, retry=None, limit=None, task=None, shutdown=None, stream=None, pools=None,
    policy=None, limiter=None, group=None, program=None, operator=None, pool=None,
):
    """Answers the suite until it closes the input.

    `retry`, `limit` and so on are the capabilities, by their names, each with True or with the reason for which there is none. A
    policy is made by `policy(settings)`: a function that takes an `Operation` and returns an awaitable. A limiter is made
    by `limiter(settings)`: an object with those of `acquire(permits)`, `try_acquire(permits)`, `reserve(permits)`,
    `change(name, value)` and `keys()` that it supports. Granted permits are a function that gives them back, or anything else; a
    refusal raises `Denied`.

    A group of the capabilities `task` is made by `group(settings)`: a function that takes a `Body`, and returns a coroutine that runs
    it. Failures are raised as they are, alone or in an exception group; a `TimeoutError` is the deadline. A group that is stopped
    by its settings returns; one that is cancelled by the suite raises `CancelledError`.

    A program of the capabilities `shutdown` is made by `program(settings)`: a function that takes `Parts`, and runs them to the end, on
    the main thread. It returns the exit code, or None, and raises failures as a group does.

    An operator of the capabilities `stream` is made by `operator(settings)`: see `Streams`.

    `pools` are the capabilities of pools. A pool is made by `pool(settings)`: an object with `get()`, whose result has the `Object` as its
    `object`, `release(connection)` and `end()`, which ends the pool with the rule, and with those of `open()`, which is called first and
    takes no time, `get(timeout)`, with the seconds until the deadline of that get, which may be over, `take()`, `discard(connection)`, `detach(connection)`, `warm(objects)`, `resize(max)`, `retire()`,
    `close(within)` and `snapshot()`, a dict, that it supports. `settings.backend` is a `Backend`. A get without an object raises
    `NoObject`, `TimeoutError`, or the error of its creation.
    """
    adapter = SimpleNamespace(policy=policy, limiter=limiter, group=group, program=program, operator=operator, pool=pool)
    hello = {
        "event": "hello", "protocol": 1, "library": library, "version": version,
        "runtime": f"Python {platform.python_version()}, asyncio", "can": ["lazy", "cancel", "abort", "cut"],
    }
    hello |= {"retry": retry} if retry is not None else {}
    hello |= {"limit": limit} if limit is not None else {}
    hello |= {"task": task} if task is not None else {}
    hello |= {"shutdown": shutdown} if shutdown is not None else {}
    hello |= {"stream": stream} if stream is not None else {}
    hello |= {"pool": pools} if pools is not None else {}
    if program is None:
        return _serve(adapter, hello)
    # A shell that runs the suite in the background has it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def lines():
        try:
            _serve(adapter, hello)
        except BaseException:
            # A program may be running.
            traceback.print_exc()
            os._exit(1)
        _main.end()

    _main.serve(lines)


def _serve(adapter, hello):
    rule = None
    for text in sys.stdin:
        line = json.loads(text)
        first = line["messages"][0]["do"] if line["messages"] else None
        at, events = line["at"], []
        if first == "hello":
            events = [hello]
        else:
            if first == "begin":
                rule = Rule(adapter, 0)
            try:
                rule.play(line)
            except Spins as spins:
                rule.say("failed", says=str(spins))
            at, events, rule.events = _time(rule.now), rule.events, []
        _lines.write(json.dumps({"turn": line["turn"], "at": at, "events": events}) + "\n")
        _lines.flush()
