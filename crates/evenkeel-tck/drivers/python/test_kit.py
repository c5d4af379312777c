"""The steps of a program under test, on asyncio itself: no time passes but that of the machine."""
import asyncio
import unittest

import evenkeel_tck_kit as tck


def events(*steps):
    """The events of a program, without their times."""
    tck.Program.events = []
    asyncio.run(tck.Program([{"do": do, **members} for do, members in steps], None)())
    return [{name: member for name, member in event.items() if name != "time"} for event in tck.Program.events]


def noted(number):
    return {"event": "noted", "number": number}


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


if __name__ == "__main__":
    unittest.main()
