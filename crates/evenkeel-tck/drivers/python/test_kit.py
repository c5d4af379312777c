"""The steps of a program under test, on asyncio itself: no time passes but that of the machine."""
import asyncio
import io
import json
import signal
import time
import unittest
from unittest import mock

import evenkeel_tck_kit as tck


def events(*steps):
    """The events of a program, without their times."""
    tck.Program.events = []
    asyncio.run(tck.Program([{"do": do, **members} for do, members in steps], None)())
    return [{name: member for name, member in event.items() if name != "time"} for event in tck.Program.events]


def noted(number):
    return {"event": "noted", "number": number}


def answers(*steps):
    """The answer of the driver to a test, without the times."""
    message = {"do": "test", "id": 1, "settings": {}, "program": list(steps)}
    line, lines = json.dumps({"turn": 1, "at": 0, "messages": [message]}), io.StringIO()
    with mock.patch("sys.stdin", io.StringIO(line + "\n")), mock.patch.object(tck, "_lines", lines):
        tck.serve("asyncio", "3", lambda test: asyncio.run(test()), testkit={})
    return [{name: member for name, member in event.items() if name != "time"} for event in json.loads(lines.getvalue())["events"]]


class Steps(unittest.TestCase):
    def test_tasks_run_beside_the_test_and_are_joined(self):
        task = [{"do": "yield", "times": 2}, {"do": "note", "number": 1}]
        steps = ("spawn", {"task": 7, "program": task}), ("note", {"number": 2}), ("join", {"task": 7}), ("note", {"number": 3})
        self.assertEqual(events(*steps), [noted(2), noted(1), noted(3)])

    def test_a_task_that_fails_is_told_by_its_join_and_a_test_that_fails_by_its_error(self):
        failing = ("spawn", {"task": 7, "program": [{"do": "panic", "text": "no"}]})
        self.assertEqual(events(failing, ("join", {"task": 7})), [{"event": "panicked", "task": 7}])
        with self.assertRaisesRegex(tck.Panic, "no"):
            events(("panic", {"text": "no"}))

    def test_what_a_task_keeps_is_dropped_when_it_is_aborted_and_at_the_end(self):
        waits = [{"do": "keep"}, {"do": "wait"}]
        spawn = ("spawn", {"task": 7, "program": waits}), ("yield", {"times": 1})
        self.assertEqual(events(*spawn, ("abort", {"task": 7}), ("note", {"number": 1})), [{"event": "dropped"}, noted(1)])
        self.assertEqual(events(*spawn), [{"event": "dropped"}])

    def test_intervals_and_time_outs(self):
        ticks = [{"event": "tick", "number": number} for number in range(3)]
        self.assertEqual(events(("ticks", {"every": 1_000_000, "count": 3})), ticks)
        late = ("timeout", {"time": 1_000_000, "program": [{"do": "wait"}]})
        self.assertEqual(events(late, ("timeout", {"time": 10**12, "program": []})), [{"event": "timed out"}])

    def test_threads_and_sockets_are_waited_for(self):
        steps = ("blocking", {"time": 1000}), ("thread", {"time": 1000}), ("loopback", {"bytes": 100_000}), ("note", {"number": 1})
        self.assertEqual(events(*steps), [noted(1)])

    def test_a_task_computes_for_its_time_and_no_other_runs_meanwhile(self):
        start = time.thread_time_ns()
        spawn = ("spawn", {"task": 7, "program": [{"do": "note", "number": 2}]})
        steps = spawn, ("compute", {"time": 20_000_000}), ("note", {"number": 1}), ("join", {"task": 7})
        self.assertEqual(events(*steps), [noted(1), noted(2)])
        self.assertGreaterEqual(time.thread_time_ns() - start, 20_000_000)

    def test_a_thread_is_blocked_for_good(self):
        class Alarm(Exception):
            pass

        def alarm(*_):
            raise Alarm

        say = tck.Program.say

        def say_and_set_alarm(*arguments, **members):
            say(*arguments, **members)
            signal.setitimer(signal.ITIMER_REAL, 0.1)

        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, alarm))
        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)
        with mock.patch.object(tck.Program, "say", say_and_set_alarm), self.assertRaises(Alarm):
            events(("note", {"number": 1}), ("block", {}), ("note", {"number": 2}))
        self.assertEqual([event["number"] for event in tck.Program.events], [1])

    def test_a_test_is_answered_and_a_step_that_is_not_known_breaks_the_adapter(self):
        self.assertEqual(answers({"do": "note", "number": 1}), [noted(1), {"event": "tested"}])
        self.assertEqual(answers({"do": "panic", "text": "no"}), [{"event": "tested", "failed": "Panic: no"}])
        sing = {"do": "sing"}
        for steps in ([sing], [{"do": "note", "number": 1}, {"do": "spawn", "task": 7, "program": [sing]}]):
            self.assertEqual(answers(*steps), [{"event": "broken", "says": "a program has no step 'sing'"}])


if __name__ == "__main__":
    unittest.main()
