"""Puts a test kit of Python to the rules of evenkeel-tck: programs under test and the protocol, so that an adapter is a few lines.

One file on purpose: it is copied beside the adapter.

    import asyncio
    import evenkeel_tck_kit as tck
    from aiotools import VirtualClock

    def run(test):
        async def main():
            with VirtualClock().patch_loop():
                await test()
        asyncio.run(main())

    tck.serve("aiotools", "2.2.4", run, testkit={"virtual time": True, "leaks": "tasks are cancelled"})

`run(test)` runs the coroutine function `test` as the kit's users run theirs, and raises where the kit fails the test. Nothing of the
runtime is replaced here: time is that of the running loop. Python 3.11 and newer; nothing else is needed.
"""
import asyncio
import json
import platform
import sys
import threading
import time

NANO = 1_000_000_000

# The output is for lines alone: what a library prints goes to the errors.
_lines, sys.stdout = sys.stdout, sys.stderr


class NotExpressible(Exception):
    """The kit has no words for a step or for the settings; the text names them."""


class Panic(Exception):
    """A task or a test fails."""


class UnknownStep(Exception):
    """This driver does not know a step, which is no finding about the kit."""


class Program:
    """A program under test. Its events are those of the turn that they come in: it may outlive its own."""

    events = []

    def __init__(self, steps, controls):
        self.steps, self.controls, self.tasks, self.start = steps, controls, {}, None

    def say(self, event, **members):
        elapsed = asyncio.get_running_loop().time() - self.start
        Program.events.append({"event": event, "time": max(0, round(elapsed * NANO)), **members})

    async def __call__(self):
        self.start = asyncio.get_running_loop().time()
        await self.run(self.steps)

    @classmethod
    def check(cls, steps):
        """Before the test: an error within it may be lost with its task, or be taken for one of the kit."""
        for step in steps:
            if step["do"] != "keep" and not hasattr(cls, _method(step)):
                raise UnknownStep(f"a program has no step {step['do']!r}")
            cls.check(step.get("program", []))

    async def run(self, steps):
        kept = 0
        try:
            for step in steps:
                if step["do"] == "keep":
                    kept += 1
                else:
                    await getattr(self, _method(step))(step)
        finally:
            for _ in range(kept):
                self.say("dropped")

    async def do_note(self, step):
        self.say("noted", number=step["number"])

    async def do_sleep(self, step):
        await asyncio.sleep(_seconds(step["time"]))

    async def do_yield(self, step):
        for _ in range(step["times"]):
            await asyncio.sleep(0)

    async def do_ticks(self, step):
        loop = asyncio.get_running_loop()
        start = loop.time()
        for number in range(step["count"]):
            ticked = loop.create_future()
            loop.call_at(start + number * _seconds(step["every"]), lambda ticked=ticked: ticked.done() or ticked.set_result(None))
            await ticked
            self.say("tick", number=number)

    async def do_spawn(self, step):
        self.tasks[step["task"]] = asyncio.create_task(self.run(step["program"]))

    async def do_join(self, step):
        task = self.tasks.pop(step["task"])
        try:
            await task
        except Panic:
            self.say("panicked", task=step["task"])

    async def do_abort(self, step):
        task = self.tasks.pop(step["task"])
        task.cancel()
        await asyncio.wait([task])

    async def do_timeout(self, step):
        try:
            async with asyncio.timeout(_seconds(step["time"])):
                await self.run(step["program"])
        except TimeoutError:
            self.say("timed out")

    async def do_blocking(self, step):
        await asyncio.to_thread(time.sleep, _seconds(step["time"]))

    async def do_left_blocking(self, step):
        loop = asyncio.get_running_loop()
        now = loop.time() - self.start

        def work():
            time.sleep(_seconds(step["time"]))
            Program.events.append({"event": "blocking ended", "time": round(now * NANO)})

        loop.run_in_executor(None, work)

    async def do_thread(self, step):
        loop = asyncio.get_running_loop()
        answered = loop.create_future()

        def work():
            time.sleep(_seconds(step["time"]))
            loop.call_soon_threadsafe(lambda: answered.done() or answered.set_result(None))

        threading.Thread(target=work, daemon=True).start()
        await answered

    async def do_loopback(self, step):
        async def echo(reader, writer):
            try:
                while data := await reader.read(65536):
                    writer.write(data)
                    await writer.drain()
            except asyncio.CancelledError:
                pass  # the test has ended
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"7" * step["bytes"])
        await reader.readexactly(step["bytes"])
        writer.close()
        server.close()

    async def do_wait(self, _step):
        await asyncio.get_running_loop().create_future()

    async def do_compute(self, step):
        start = time.thread_time_ns()
        while time.thread_time_ns() - start < int(step["time"]):
            pass

    async def do_block(self, _step):
        threading.Event().wait()

    async def do_panic(self, step):
        raise Panic(step["text"])

    async def do_move(self, step):
        await self.controls.move(_seconds(step["time"]))

    async def do_hold(self, _step):
        self.held = self.controls.hold()

    async def do_release(self, _step):
        self.held()

    async def do_settle(self, _step):
        await self.controls.settle()


def _method(step):
    return "do_" + step["do"].replace(" ", "_")


def _seconds(time):
    return int(time) / NANO


def serve(library, version, run, *, testkit, controls=None, settings=None):
    """Answers the suite until it closes the input.

    `testkit` has the capabilities, by their names, each with True or with the reason for which there is none. `controls` has those of
    `await move(seconds)`, `hold()`, which returns the function that lets the clock go, and `await settle()` that the kit has.
    `settings(settings)` is called before each test, and may raise `NotExpressible`.
    """
    hello = {
        "event": "hello", "protocol": 1, "library": library, "version": version,
        "runtime": f"Python {platform.python_version()}, asyncio", "can": ["cancel"], "testkit": testkit,
    }
    for text in sys.stdin:
        line = json.loads(text)
        for message in line["messages"]:
            if message["do"] == "hello":
                Program.events.append(hello)
            elif message["do"] == "test":
                try:
                    Program.check(message["program"])
                    if settings:
                        settings(message["settings"])
                    run(Program(message["program"], controls))
                    end = {"event": "tested"}
                except NotExpressible as why:
                    end = {"event": "not expressible", "says": str(why)}
                except UnknownStep as error:
                    end = {"event": "broken", "says": str(error)}
                except Exception as error:  # the kit fails the test
                    end = {"event": "tested", "failed": f"{type(error).__name__}: {error}"}
                Program.events.append(end)
        events, Program.events = Program.events, []
        _lines.write(json.dumps({"turn": line["turn"], "at": line["at"], "events": events}) + "\n")
        _lines.flush()
