"""The driver tells what becomes of tasks, and hears signals in virtual time: `python3 test_tasks.py`."""
import asyncio
import logging
import signal
import threading
import warnings
from types import SimpleNamespace

import evenkeel_tck as tck


# Tasks that a test leaves alive on purpose.
logging.getLogger("asyncio").setLevel(logging.CRITICAL)
# And those that never begin.
warnings.filterwarnings("ignore", "coroutine .* was never awaited")


def begin(group=None, program=None):
    rule = tck.Rule(SimpleNamespace(group=group, program=program), 0)
    kind = "group" if group else "program"
    play(rule, 0, {"do": "begin"}, {"do": kind, "id": 1, "settings": {}})
    run = {"do": "run", "id": 2, kind: 1, "by": None}
    parts = {"tasks": [task(3, 1)], "clean_ups": [], "guards": [], "start_up": None} if program else {}
    return rule, play(rule, 0, run | parts, {"do": "start", "id": 2})


def task(id, number, **more):
    return {"id": id, "task": number, **more}


def spawn(id, number, by=2, **more):
    return {"do": "spawn", "run": 2, "by": by, **task(id, number, **more)}


def ends(*ids, outcome="ok"):
    return {"do": "results", "of": [{"id": id, "outcome": outcome} for id in ids]}


def play(rule, until, *messages):
    """The events of a turn, as pairs of a name and an id."""
    rule.play({"at": rule.now, "until": until, "messages": list(messages)})
    events, rule.events = rule.events, []
    return [(event["event"], event.get("id") or event.get("says")) if event["event"] != "end" else event for event in events]


def in_a_task_group(settings):
    async def run(body):
        async with asyncio.TaskGroup() as tg:
            await body(lambda task: tg.create_task(task()))

    return run


def results_of_one_instant():
    """Two tasks fail at once: the group hears both."""
    rule, events = begin(in_a_task_group)
    assert events == [("began", 2)], events
    events = play(rule, 0, spawn(3, 1), spawn(4, 2), spawn(5, 3), ends(2))
    assert events == [("began", 3), ("began", 4), ("began", 5), ("ended", 2)], events
    *events, end = play(rule, 0, ends(3, 4, outcome="error"))
    assert events == [("ended", 3), ("ended", 4), ("dropped", 5)], events
    assert [failure["task"] for failure in end["failures"]] == [1, 2], end
    assert play(rule, 0, {"do": "end"}) == []


def never_begun(how):
    """A task that is thrown away before its begin, or whose coroutine is closed or thrown away, is dropped."""
    rule, kept = spawned(how)
    assert play(rule, 0, spawn(3, 1)) == [("dropped", 3)]
    assert play(rule, 0, {"do": "end"}) == []


def kept_and_never_begun():
    """A coroutine that is kept may begin yet, and is dropped when it is let go."""
    rule, kept = spawned(lambda task, kept: kept.append(task()))
    assert play(rule, 0, spawn(3, 1)) == []
    kept.clear()
    assert play(rule, 0) == [("dropped", 3)]
    assert play(rule, 0, {"do": "end"}) == []


def spawned(how):
    """A group that spawns a task in this way, with the list for what is kept."""
    kept = []

    def group(settings):
        async def run(body):
            await body(lambda task: how(task, kept))

        return run

    rule, _ = begin(group)
    return rule, kept


def left_alive():
    """A task that the library keeps at the end of the rule is a fault."""
    kept = []

    def group(settings):
        async def run(body):
            await body(lambda task: kept.append(asyncio.get_running_loop().create_task(task())))

        return run

    rule, _ = begin(group)
    assert play(rule, 0, spawn(3, 1), ends(2))[0] == ("began", 3)
    assert play(rule, 0, {"do": "end"}) == [("failed", "task 1 is left alive")]


def panics_in_its_clean_up():
    rule, _ = begin(in_a_task_group)
    play(rule, 0, spawn(3, 1, panics_when_dropped=True), spawn(4, 2), ends(2))
    *events, end = play(rule, 0, ends(4, outcome="error"))
    assert events == [("ended", 4), ("dropped", 3)], events
    assert [failure["kind"] for failure in end["failures"]] == ["error", "panic"], end
    play(rule, 0, {"do": "end"})


def program(settings):
    async def main(parts):
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
        async with asyncio.TaskGroup() as tg:
            for task in parts.tasks:
                tg.create_task(task(drained=stop.wait))
        await asyncio.sleep(2)

    def run(parts):
        with asyncio.Runner(loop_factory=parts.loop) as runner:
            runner.run(main(parts))

    return run


def a_signal_in_virtual_time():
    rule, events = begin(program=program)
    assert events == [("began", 3)], events
    assert play(rule, 10**9, {"do": "look", "id": 3}) == []
    assert play(rule, 10**9, {"do": "signal", "name": "SIGINT"}) == [("drained", 3)]
    assert play(rule, 10**9, ends(3)) == [("ended", 3)]
    (end,) = play(rule, 10**10)
    assert (rule.now, end["failures"]) == (3 * 10**9, []), end
    play(rule, 0, {"do": "end"})


def a_program_that_goes_on():
    """One that does not mind its cancel is ended with the rule."""
    def deaf(settings):
        async def main(parts):
            while True:
                try:
                    await asyncio.sleep(10**6)
                except asyncio.CancelledError:
                    pass

        def run(parts):
            with asyncio.Runner(loop_factory=parts.loop) as runner:
                runner.run(main(parts))

        return run

    rule, events = begin(program=deaf)
    assert events == [], events
    play(rule, 0, {"do": "end"})
    assert rule.loop.is_closed() and not isinstance(rule.loop, tck.ProgramLoop)


def all_tests():
    results_of_one_instant()
    never_begun(lambda task, kept: kept.append(task()) or kept[-1].close())
    never_begun(lambda task, kept: None)
    never_begun(lambda task, kept: task() and None)
    kept_and_never_begun()
    left_alive()
    panics_in_its_clean_up()
    a_signal_in_virtual_time()
    a_program_that_goes_on()
    passed.set()


passed = threading.Event()


def lines():
    try:
        all_tests()
    finally:
        tck._main.end()


tck._main.serve(lines)
assert passed.is_set()
print("tasks are told, and signals heard", file=tck._lines)
