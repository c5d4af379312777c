//! The peers for streams and queues.

use super::{
    super::{GO, Language, NODE, PYTHON},
    Peer,
};

const CUT: &str = "An `anext` that is cancelled ends the async generators of which the stream is made: after one that is cut at 5 ms \
                   nothing comes any more, and no error. Alone with `wait_for` on Python 3.11.7, too.";

const ASKED: &str = "The stream is an async generator, which goes on when it is asked: what is ready while the consumer is busy for 1 s \
                     begins at 1.01 s, and behind two such results at 2.01 s. Alone, too.";

const IN_TURN: &str = "With `preserveOrder` an error is thrown at its place, behind the results before it: one of 10 ms behind an item of 1 s \
                       is told at 1 s. Alone on Node 20, too.";

const CLOSED_LATE: &str = "`return` waits for the `next` that is pending, as with every async generator: the source of a map that is left at \
                           25 ms is closed at 30 ms, with the next result, and while it is silent never. Alone on Node 20, too.";

pub(in super::super) const STREAM: [(Language, &[Peer]); 3] = [
    (
        PYTHON,
        &[
            Peer {
                name: "aiostream",
                adapter: "aiostream_adapter.py",
                docs: "https://aiostream.readthedocs.io",
                fails: &[
                    ("STREAM-13", ASKED),
                    (
                        "STREAM-23",
                        "An ordered `map` awaits the results in their order (`concatmap`): an error of 10 ms behind items of 1 s is \
                         raised at 1 s. Alone, too.",
                    ),
                    ("STREAM-38", CUT),
                    ("STREAM-53", CUT),
                    (
                        "STREAM-59",
                        "`merge` looks at its sources in their order at each step (`wait_single_event`): of 500 items of five sources \
                         that are always ready, all are of the first. Alone, too.",
                    ),
                    ("STREAM-62", CUT),
                    ("STREAM-102", ASKED),
                ],
            },
            Peer {
                name: "asyncio.Queue",
                adapter: "asyncio_queue_adapter.py",
                docs: "https://docs.python.org/3/library/asyncio-queue.html",
                fails: &[(
                    "STREAM-94",
                    "`task_done` is a call of the consumer's own: one that raises before it leaves `join` waiting for ever, with one \
                     unfinished task. Alone on Python 3.11.7, too.",
                )],
            },
        ],
    ),
    (
        NODE,
        &[
            Peer {
                name: "p-map",
                adapter: "p-map.mjs",
                docs: "https://github.com/sindresorhus/p-map",
                fails: &[
                    ("STREAM-23", IN_TURN),
                    ("STREAM-27", IN_TURN),
                    ("STREAM-34", CLOSED_LATE),
                    ("STREAM-36", CLOSED_LATE),
                ],
            },
            Peer {
                name: "p-queue",
                adapter: "p-queue.mjs",
                docs: "https://github.com/sindresorhus/p-queue",
                fails: &[(
                    "STREAM-98",
                    "`clear` drops the jobs that have not begun, and nothing ends those that have: with two of 600 s, closed at 10 ms, \
                     `onIdle` ends at 600 s.",
                )],
            },
        ],
    ),
    (
        GO,
        &[Peer {
            name: "channels",
            adapter: "channel",
            docs: "https://go.dev/ref/spec#Channel_types",
            fails: &[],
        }],
    ),
];
