//! The pools of other languages, each with the rules that it fails, and why. Most reasons were found again by the library alone, on a
//! real clock, with the numbers that are said here; some follow from another one, and were read in the source.

use super::{GO, Language, NODE, PYTHON, peers::Peer};

const NO_PAST: &str =
    "A time of 0 is told as a time-out before the idle connections are looked at: one that is idle stays so.";

const ATTEMPTS: &str =
    "Each caller makes its own attempt at once: 100 callers with room for 4 are 100 in less than 0.1 s.";

const RETRIED: &str = "A creation that fails is tried again until the time-out of the get, whatever the error is: it is told then, and not at 10 ms.";

const PANIC: &str = "It is called in a goroutine of the pool: the process ends.";

const CLOSES_LATE: &str = "A close waits for the leases first, and leaves the waiters as they are: they are told of their own time-out.";

const LENDS_CLOSED: &str = "The close waits for the check, and its caller gets the connection all the same, as one of a pool that is open.";

pub(super) const POOL: [(Language, &[Peer]); 3] = [
    (
        PYTHON,
        &[
            Peer {
                name: "asyncpg's pool",
                adapter: "asyncpg_adapter.py",
                docs: "https://magicstack.github.io/asyncpg/current/usage.html#connection-pools",
                fails: &[
                    (
                        "POOL-11",
                        "`PoolConnectionHolder.acquire` awaits its own `connect`: with one of 1 s, a connection that is returned after \
                         0.1 s stays idle.",
                    ),
                    ("POOL-21", NO_PAST),
                    (
                        "POOL-27",
                        "`connect` is a part of the get, and cancelled with it: of 5 callers that wait for 80 ms, with creations of \
                         100 ms, none is served.",
                    ),
                    ("POOL-36", ATTEMPTS),
                    ("POOL-37", ATTEMPTS),
                    (
                        "POOL-76",
                        "`close` waits until the leases are back; its waiters are in the queue of holders, which it does not look at: \
                         they are told of their own time-out.",
                    ),
                    (
                        "POOL-97",
                        "A connection has the generation from before its creation, and the caller who waits for it gets it; the next \
                         one gets a new one.",
                    ),
                ],
            },
            Peer {
                name: "psycopg_pool",
                adapter: "psycopg_pool_adapter.py",
                docs: "https://www.psycopg.org/psycopg3/docs/api/pool.html",
                fails: &[
                    (
                        "POOL-16",
                        "`getconn` awaits the check without a limit: with a time-out of 0.3 s and a check that hangs, it still waits \
                         after 2 s.",
                    ),
                    ("POOL-21", NO_PAST),
                    (
                        "POOL-22",
                        "`PoolTimeout` is raised `from None`, and its text has the time alone; the error of the creation is logged.",
                    ),
                    ("POOL-30", RETRIED),
                    (
                        "POOL-33",
                        "Attempts are 1, 2, 4, 8 s apart and so on, up to 5 minutes, whoever waits: after an outage of 60 s the next \
                         one is up to 64 s away.",
                    ),
                    ("POOL-35", RETRIED),
                    (
                        "POOL-39",
                        "`_growing` lets the pool grow by one connection at a time: the fourth of 4 callers is served after 4 creations.",
                    ),
                    (
                        "POOL-43",
                        "Between the checks of two connections `getconn` pauses as between attempts to connect, 1, 2 and 4 s: behind 4 \
                         that are dead a caller is served after 6 s.",
                    ),
                    (
                        "POOL-46",
                        "A connection whose check raises and that is not closed goes back to the pool: each get that meets it pauses \
                         and meets it again, 5 times in 4 s, until its time-out.",
                    ),
                    (
                        "POOL-61",
                        "`ShrinkPool` closes one connection in each `max_idle`: after twice the time 2 of 3 are there.",
                    ),
                    (
                        "POOL-66",
                        "The end of the lifetime is looked at when a connection is returned: one that is idle for 4 lifetimes is there.",
                    ),
                    ("POOL-67", "As for POOL-66: connections that are idle do not end by their lifetime."),
                    (
                        "POOL-71",
                        "`resize` to fewer leaves the connections to `ShrinkPool`: changed from 6 to 2, 6 are there when all are returned.",
                    ),
                    (
                        "POOL-73",
                        "`resize` to more adds connections for a larger `min_size` alone: callers that wait go on to do so until their \
                         time-out.",
                    ),
                    (
                        "POOL-83",
                        "A connection that was closed by its user is counted until another one is there: `pool_size` is 3, of which 2 \
                         exist, while the attempts fail.",
                    ),
                    (
                        "POOL-84",
                        "A caller that is cancelled stays in `_waiting` until a connection is offered to it: of 3 that wait one is \
                         cancelled, and `requests_waiting` is 3.",
                    ),
                    (
                        "POOL-91",
                        "A caller whose connection fails its check begins again, behind the others that wait.",
                    ),
                    (
                        "POOL-97",
                        "`drain` compares the time at which a creation has ended: a connection that was begun before is lent, and again.",
                    ),
                    ("POOL-98", "`getconn` does not look at the pool again after the check."),
                ],
            },
        ],
    ),
    (
        NODE,
        &[
            Peer {
                name: "generic-pool",
                adapter: "generic-pool.mjs",
                docs: "https://github.com/coopernurse/node-pool",
                fails: &[
                    (
                        "POOL-22",
                        "The errors of creations are the event `factoryCreateError` alone: a caller is told \"ResourceRequest timed out\".",
                    ),
                    ("POOL-30", RETRIED),
                    (
                        "POOL-33",
                        "`_createResource` calls `_dispense` when it has failed, which creates at once: attempts follow each other without \
                         a pause.",
                    ),
                    ("POOL-35", RETRIED),
                    (
                        "POOL-36",
                        "A creation that has failed is begun again at once: with creations of 1 ms and room for 4, 1,600 in 1 s.",
                    ),
                    ("POOL-37", "As for POOL-36: up to 4 attempts at one time."),
                    (
                        "POOL-46",
                        "`_testOnBorrow` handles no rejection of `validate`: the resource stays in test for ever, and so does its room; \
                         of 2 one can be lent.",
                    ),
                    ("POOL-76", CLOSES_LATE),
                    (
                        "POOL-78",
                        "`drain` waits for the callers that wait: the one whose creation is under way gets its resource.",
                    ),
                    ("POOL-98", LENDS_CLOSED),
                ],
            },
            Peer {
                name: "tarn",
                adapter: "tarn.mjs",
                docs: "https://github.com/vincit/tarn.js",
                fails: &[
                    (
                        "POOL-19",
                        "A creation that has run out of time is tried again after 200 ms, and the caller is not told of it.",
                    ),
                    (
                        "POOL-25",
                        "A resource whose acquire was aborted on the way goes to `free`, and nobody looks at it there: the next caller \
                         waits for its time-out beside a free resource.",
                    ),
                    (
                        "POOL-29",
                        "An abort rejects the validation, which counts as one that has failed: the resource is destroyed.",
                    ),
                    (
                        "POOL-30",
                        "Unless `propagateCreateError` is set, a creation is tried again every 200 ms until the time-out, and its error \
                         told then.",
                    ),
                    ("POOL-35", "As for POOL-30."),
                    (
                        "POOL-36",
                        "Each creation that has failed is begun again after 200 ms: with room for 4, 20 attempts in a second.",
                    ),
                    ("POOL-37", "As for POOL-36: 4 attempts at one time."),
                    (
                        "POOL-43",
                        "Behind each failed check the pool looks again after a timer of 0 ms, which is 1 ms: 4 ms for 4 of them.",
                    ),
                    ("POOL-75", "`acquire` does not look at `destroyed`: its caller waits for its time-out."),
                    ("POOL-76", CLOSES_LATE),
                    ("POOL-82", "As for POOL-75: a get behind the close is not told of it."),
                    ("POOL-98", LENDS_CLOSED),
                ],
            },
        ],
    ),
    (
        GO,
        &[Peer {
            name: "jackc/puddle",
            adapter: "puddle",
            docs: "https://pkg.go.dev/github.com/jackc/puddle/v2",
            fails: &[
                (
                    "POOL-11",
                    "`Acquire` waits for its own constructor: with one of 1 s, a resource that is released after 0.1 s stays idle.",
                ),
                (
                    "POOL-21",
                    "`Acquire` looks at its context first: one that has ended gets \"context deadline exceeded\" beside an idle resource.",
                ),
                ("POOL-34", PANIC),
                ("POOL-35", PANIC),
                ("POOL-36", ATTEMPTS),
                ("POOL-37", ATTEMPTS),
                ("POOL-47", PANIC),
                (
                    "POOL-76",
                    "`Close` wakes nobody who waits in `Acquire`: with a deadline of 1 s and a close at 0.1 s, a caller is told of its \
                     deadline, after 1 s.",
                ),
                (
                    "POOL-97",
                    "A resource has the count of resets from before its construction, and the caller who waits for it gets it; the \
                     next one gets a new one.",
                ),
            ],
        }],
    ),
];
