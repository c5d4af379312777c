"""Puts a Python library to the rules of evenkeel-tck: the virtual clock and the protocol, so that an adapter is a few lines.

Import it before the library, which may keep `time.monotonic` under a name of its own:

    import evenkeel_tck as tck
    import tenacity

    def policy(settings):
        wait = tenacity.wait_exponential(multiplier=settings.initial, max=settings.cap, exp_base=settings.factor or 1)
        stop = tenacity.stop_after_attempt(settings.max_attempts)
        retry = tenacity.retry_if_exception_type(tck.Transient)
        return lambda operation: tenacity.AsyncRetrying(wait=wait, stop=stop, retry=retry, reraise=True)(operation)

    tck.serve("tenacity", tenacity.__version__, retry={"jitter": "not in this example"}, policy=policy)

Times in settings and errors are seconds. Python 3.11 and newer; nothing else is needed.
"""
import asyncio
import heapq
import inspect
import json
import math
import platform
import selectors
import signal
import sys
import threading
import time
import weakref
from collections import deque
from types import SimpleNamespace

NANO = 1_000_000_000
CREEP = 8  # timers for now, one after the other, before the clock moves by a nanosecond
SPIN = 100_000  # turns of the loop without a nanosecond between them

# The output is for lines alone: what a library prints goes to the errors.
_lines, sys.stdout = sys.stdout, sys.stderr


class Failure(Exception):
    """The error of an attempt. `hint` is as in the protocol; `after` is the wait that it asks for, in seconds, or None."""

    def __init__(self, attempt, hint, after):
        super().__init__(f"attempt {attempt}: {hint}")
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


class Spins(RuntimeError):
    """Work that never waits: real time would end it, virtual time does not."""


class Timer(asyncio.TimerHandle):
    """Due at a nanosecond. Of two that are due at the same one, the first that was set is first: asyncio's heap does not say."""

    __slots__ = ("due", "number")

    def __lt__(self, other):
        return (self.due, self.number) < (other.due, other.number)

    __gt__ = __le__ = __ge__ = None  # the heap needs nothing else


class Quiet(selectors.SelectSelector):
    """Never blocks: where the loop would wait, it rests."""

    loop = None

    def select(self, timeout=None):
        if timeout is None or timeout > 0:
            self.loop.rest()
        else:
            self.loop.turn()
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is a whole number of nanoseconds, and moves only when it is told to.

    asyncio's own deadlines are floats, whose errors add up. Here a deadline is rounded once, when it is set. It is exact to
    the nanosecond up to 2^22 s (48 days); beyond that, floats have no nanoseconds.
    """

    def __init__(self, now=0):
        quiet = Quiet()
        super().__init__(quiet)
        quiet.loop = self
        self.now, self._set, self._turns = now, 0, 0

    def time(self):
        return self.now / NANO

    def call_at(self, when, callback, *args, context=None):
        self._check_closed()
        timer = Timer(when, callback, args, self, context)
        # The nearest nanosecond; but a timer in the future is at least one away, as in real time.
        timer.due = round(when * NANO) if math.isfinite(when) else (math.inf if when > 0 else self.now)
        timer.due = max(timer.due, self.now + (when > self.time()))
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

    def _run_once(self):
        # asyncio looks at the timers in floats, with its clock's resolution added: they stay out of its sight.
        self._hidden, self._scheduled = self._scheduled, []
        try:
            super()._run_once()
        finally:
            self._show()

    def _show(self):
        new, self._scheduled = self._scheduled, self._hidden
        for timer in new:
            heapq.heappush(self._scheduled, timer)


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

    def observed(self, seconds):
        """Tells of a retry, from the library's hook."""
        self._rule.say("observed", id=self._id, delay=_nanos(seconds))

    def keyed(self, key):
        """Tells the idempotency key of the attempt that is called next."""
        self._rule.say("keyed", id=self._id, key=str(key))


class Rule:
    """Everything that one rule has made."""

    def __init__(self, adapter, at):
        self.adapter, self.loop, self.events = adapter, VirtualLoop(at), []
        self.made, self.pending, self.tasks, self.held, self.operations = {}, {}, {}, {}, {}
        self.cancelled, self.is_over, self.groups = set(), False, Groups(self)
        _clock.loop = self.loop
        asyncio.set_event_loop(self.loop)

    def say(self, event, **members):
        self.events.append({"event": event, **members})

    def play(self, line):
        at, until = _whole(line["at"]), _whole(line["until"])
        if at > self.loop.now:
            late, self.loop.now = self.loop.next() < at, at
            if late:
                self.loop.fire()
        for message in line["messages"]:
            try:
                name = "do_" + message["do"]
                (getattr(self, name, None) or getattr(self.groups, name))(message)
            except (AttributeError, KeyError, TypeError) as error:
                self.say("broken", says=f"{message}: {_said(error)}")
            if self.is_over:
                return
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
        self.loop.close()
        self.is_over = True

    def _make(self, message, make):
        id = message["id"]
        try:
            self.made[id] = make(_settings(message["settings"]))
            self.say("configured", id=id)
        except NotExpressible as why:
            self.say("not expressible", id=id, says=str(why))
        except Exception as error:
            self.say("refused", id=id, says=_said(error))

    def do_policy(self, message):
        self._make(message, self.adapter.policy)

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
            more["deadline"] = _seconds(message["deadline"])
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
            self._show()
            _main.rest()
            self._hidden, self._scheduled = self._scheduled, []
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


# The settings that are times.
_TIMES = {
    "initial", "cap", "total_timeout", "attempt_timeout", "deadline", "reset_after", "max_retry_after", "stop_after", "per",
    "grace", "again_after", "pre_stop", "alone_after",
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

    def seconds(self):
        return self.loop.time()

    def nanos(self):
        return self.loop.now


_clock = _Clock()
_clock.loop = VirtualLoop()
asyncio.set_event_loop(_clock.loop)
time.monotonic = time.perf_counter = _clock.seconds
time.monotonic_ns = time.perf_counter_ns = _clock.nanos
# The wall clock stands still: it may be set at any time, and no limit is to be measured on it.
_wall = time.time()
time.time = lambda: _wall


def serve(library, version, *, retry=None, limit=None, task=None, shutdown=None, policy=None, limiter=None, group=None, program=None):
    """Answers the suite until it closes the input.

    `retry` and `limit` are the capabilities, by their names, each with True or with the reason for which there is none. A
    policy is made by `policy(settings)`: a function that takes an `Operation` and returns an awaitable. A limiter is made
    by `limiter(settings)`: an object with those of `acquire(permits)`, `try_acquire(permits)`, `reserve(permits)`,
    `change(name, value)` and `keys()` that it supports. Granted permits are a function that gives them back, or anything else; a
    refusal raises `Denied`.

    A group of the capabilities `task` is made by `group(settings)`: a function that takes a `Body`, and returns a coroutine that runs
    it. Failures are raised as they are, alone or in an exception group; a `TimeoutError` is the deadline. A group that is stopped
    by its settings returns; one that is cancelled by the suite raises `CancelledError`.

    A program of the capabilities `shutdown` is made by `program(settings)`: a function that takes `Parts`, and runs them to the end, on
    the main thread. It returns the exit code, or None, and raises failures as a group does.
    """
    adapter = SimpleNamespace(policy=policy, limiter=limiter, group=group, program=program)
    hello = {
        "event": "hello", "protocol": 1, "library": library, "version": version,
        "runtime": f"Python {platform.python_version()}, asyncio", "can": ["lazy", "cancel"],
    }
    hello |= {"retry": retry} if retry is not None else {}
    hello |= {"limit": limit} if limit is not None else {}
    hello |= {"task": task} if task is not None else {}
    hello |= {"shutdown": shutdown} if shutdown is not None else {}
    if program is None:
        return _serve(adapter, hello)
    # A shell that runs the suite in the background has it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def lines():
        try:
            _serve(adapter, hello)
        finally:
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
            at, events, rule.events = _time(rule.loop.now), rule.events, []
        _lines.write(json.dumps({"turn": line["turn"], "at": at, "events": events}) + "\n")
        _lines.flush()
