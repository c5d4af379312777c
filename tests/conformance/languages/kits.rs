//! The test kits, each with the rules that it fails, and why.

use super::{Language, NODE, PYTHON, peers::Peer};

pub(super) const TESTKIT: [(Language, &[Peer]); 2] = [
    (
        PYTHON,
        &[
            Peer {
                name: "aiotools",
                adapter: "aiotools_kit.py",
                docs: "https://aiotools.readthedocs.io",
                fails: &[
                    (
                        "TESTKIT-04",
                        "asyncio's timers are a heap by their times alone: eight that are due at once fire as 1, 2, 6, 8, 5, 3, 7 and 4.",
                    ),
                    (
                        "TESTKIT-06",
                        "Where the loop would wait, the time to the next timer is added at once, whatever threads are at: 1 ms is over before a call of 20 ms.",
                    ),
                    ("TESTKIT-07", "For the same reason 1 ms is over before 1 MiB is there and back."),
                    (
                        "TESTKIT-18",
                        "Where no timer is left, `select` is asked without a time-out, and answers at once, again and again.",
                    ),
                ],
            },
            Peer {
                name: "looptime",
                adapter: "looptime_kit.py",
                docs: "https://looptime.readthedocs.io",
                fails: &[
                    (
                        "TESTKIT-04",
                        "asyncio's timers are a heap by their times alone: eight that are due at once fire as 1, 2, 6, 8, 5, 3, 7 and 4.",
                    ),
                    (
                        "TESTKIT-06",
                        "While an executor works, the clock moves with the real time, in steps: 1 ms is over before a call of 20 ms.",
                    ),
                ],
            },
        ],
    ),
    (
        NODE,
        &[
            Peer {
                name: "@sinonjs/fake-timers",
                adapter: "fake-timers.mjs",
                docs: "https://github.com/sinonjs/fake-timers",
                fails: &[
                    (
                        "TESTKIT-06",
                        "In its mode `nextAsync` the next timer fires after a turn of Node's loop, whatever threads are at: 1 ms is over before a call of 20 ms.",
                    ),
                    ("TESTKIT-07", "For the same reason 1 ms is over before 1 MiB is there and back."),
                    ("TESTKIT-18", "It has no timer to fire, and goes on looking for one."),
                ],
            },
            Peer {
                name: "node:test",
                adapter: "node-test.mjs",
                docs: "https://nodejs.org/api/test.html#mocking",
                fails: &[
                    (
                        "TESTKIT-13",
                        "`tick` fires timers without letting promises run between them: the second of two sleeps in a row is set when the move is over.",
                    ),
                    (
                        "TESTKIT-14",
                        "A move does not wait for promises: a task whose timer was due goes on after the next line of the test.",
                    ),
                    (
                        "TESTKIT-15",
                        "Within a move the clock shows its end: in one of 100 ms all ticks of an interval of 7 ms are at 100 ms.",
                    ),
                ],
            },
        ],
    ),
];
