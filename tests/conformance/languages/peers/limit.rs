//! Peers by the rules of limits.

use super::{
    super::{GO, Language, NODE, PYTHON},
    Peer,
};

pub(in super::super) const LIMIT: [(Language, &[Peer]); 3] = [
    (
        PYTHON,
        &[
            Peer {
                name: "aiolimiter",
                adapter: "aiolimiter_adapter.py",
                docs: "https://aiolimiter.readthedocs.io",
                fails: &[
                    (
                        "LIMIT-21",
                        "`acquire` looks at the capacity, and not at the waiters: a request that comes when a permit has been \
                         earned, and before the timer of the first waiter has fired, takes it.",
                    ),
                    (
                        "LIMIT-22",
                        "The waiters are a heap by amount: a request for 1 passes one for 5 that came before.",
                    ),
                    ("LIMIT-29", "Behind a request for 10, those for 1 have their turns before it leaves."),
                ],
            },
            Peer {
                name: "asyncio.Semaphore",
                adapter: "semaphore_adapter.py",
                docs: "https://docs.python.org/3/library/asyncio-sync.html#semaphore",
                fails: &[],
            },
            Peer {
                name: "pyrate-limiter",
                adapter: "pyrate_adapter.py",
                docs: "https://pyratelimiter.readthedocs.io",
                fails: &[
                    (
                        "LIMIT-06",
                        "The time of a permit is rounded up to whole microseconds (`_emission_us`): 600,000,000 per second are 1,000,000.",
                    ),
                    (
                        "LIMIT-08",
                        "Its clock has whole milliseconds: what is earned within one of them is not there before the next.",
                    ),
                    (
                        "LIMIT-17",
                        "For that reason a wait is rounded up to whole milliseconds: a nanosecond before its end the permits are \
                         there.",
                    ),
                    (
                        "LIMIT-23",
                        "Those who wait sleep and then try again: a request that does not wait passes them.",
                    ),
                    (
                        "LIMIT-27",
                        "For that reason the wait that a refusal tells does not count them: 1 s behind two who wait.",
                    ),
                    (
                        "LIMIT-32",
                        "A request whose wait is longer than its `timeout` sleeps for the rest of that, and is refused then.",
                    ),
                    (
                        "LIMIT-33",
                        "`asyncio.wait_for` ends the request at its `timeout`, which is before the sleep of the same time is over.",
                    ),
                    (
                        "LIMIT-46",
                        "A window includes both of its ends: a permit is there again a millisecond later.",
                    ),
                    (
                        "LIMIT-49",
                        "`BucketFactory` keeps each bucket until `dispose`: of 2,000 keys 2,000 are kept.",
                    ),
                    (
                        "LIMIT-52",
                        "A request holds the one lock of its `Limiter` while it waits: those of another key wait for it, too.",
                    ),
                ],
            },
        ],
    ),
    (
        NODE,
        &[
            Peer {
                name: "bottleneck",
                adapter: "bottleneck.mjs",
                docs: "https://github.com/SGrondin/bottleneck",
                fails: &[
                    (
                        "LIMIT-18",
                        "A job passes three timers of 0 ms, each of which is 1 ms: ten of a burst of ten take 30 ms.",
                    ),
                    (
                        "LIMIT-20",
                        "For that reason, at 1 per 100 ms the turns are at 3, 104, 206, 308 ms and so on.",
                    ),
                    (
                        "LIMIT-26",
                        "More than the most of the reservoir is queued, and never runs; its refill goes on every 250 ms.",
                    ),
                    (
                        "LIMIT-55",
                        "For the reason of LIMIT-18, 20 jobs of 10 ms, three at once, take 88 ms in place of 70.",
                    ),
                ],
            },
            Peer {
                name: "limiter",
                adapter: "limiter.mjs",
                docs: "https://github.com/jhurliman/node-rate-limiter",
                fails: &[
                    (
                        "LIMIT-04",
                        "`RateLimiter` has a window of the interval beside its bucket, and refuses what exceeds either: after \
                         the burst, 16 of 25 are granted in 2.5 s at 10 per second.",
                    ),
                    (
                        "LIMIT-05",
                        "A bucket of 1 per hour has 3,600,000 ms times 1 / 3,600,000 after an hour, which is 0.9999999999999999 in \
                         floats: the permit is refused when it is due.",
                    ),
                    (
                        "LIMIT-06",
                        "The window refuses what a bucket of 600,000,000 per second has earned 1 ms after its burst.",
                    ),
                    (
                        "LIMIT-08",
                        "The window refuses what an exact bucket grants, and floats are a little less than it.",
                    ),
                    ("LIMIT-23", "`tryRemoveTokens` does not look at those that wait in `removeTokens`."),
                ],
            },
            Peer {
                name: "p-limit",
                adapter: "p-limit.mjs",
                docs: "https://github.com/sindresorhus/p-limit",
                fails: &[],
            },
            Peer {
                name: "p-throttle",
                adapter: "p-throttle.mjs",
                docs: "https://github.com/sindresorhus/p-throttle",
                fails: &[],
            },
        ],
    ),
    (
        GO,
        &[
            Peer {
                name: "x/time/rate",
                adapter: "rate",
                docs: "https://pkg.go.dev/golang.org/x/time/rate",
                fails: &[
                    (
                        "LIMIT-07",
                        "A wait is cut to whole nanoseconds: at 3 per second, 3,000 permits are 3e-9 permits short a \
                         nanosecond before they are earned, which is a wait of 0.99 ns, and none.",
                    ),
                    (
                        "LIMIT-28",
                        "`WaitN` sets its timer when it is called, by the permits that are reserved then, and nothing moves \
                         it: when the first of three leaves at 500 ms, the others go on at 2 s and 3 s.",
                    ),
                    (
                        "LIMIT-29",
                        "For that reason, three behind a request for 10, which leaves at 550 ms, go on at 1.1, 1.2 and 1.3 s.",
                    ),
                    (
                        "LIMIT-38",
                        "`SetLimit` does not move those timers, either: with 10 per second from 500 ms on, those who wait at 1 per \
                         second go on at 1 s and 2 s.",
                    ),
                ],
            },
            Peer {
                name: "x/sync/semaphore",
                adapter: "semaphore",
                docs: "https://pkg.go.dev/golang.org/x/sync/semaphore",
                fails: &[(
                    "LIMIT-60",
                    "`Acquire` of more than the size waits for the end of its context, and without a deadline for ever.",
                )],
            },
        ],
    ),
];
