//! The peers, each with the rules that it fails, and why, as read in its source.

mod stream;

pub(super) use self::stream::STREAM;
use super::{GO, Language, NODE, PYTHON};

pub(super) struct Peer {
    pub(super) name: &'static str,
    /// The file of its adapter.
    pub(super) adapter: &'static str,
    pub(super) docs: &'static str,
    /// Rules that it fails, and why.
    pub(super) fails: &'static [(&'static str, &'static str)],
}

const IN_FLIGHT: &str =
    "The total time is looked at between attempts alone: with 5 s, an attempt of 60 s runs to its end.";

const PANIC: &str = "A panic in a goroutine of an `errgroup.Group` ends the program, which is meant (golang/go #53757, #74275): \
                     exit status 2.";

pub(super) const RETRY: [(Language, &[Peer]); 3] = [
    (
        PYTHON,
        &[
            Peer {
                name: "tenacity",
                adapter: "tenacity_adapter.py",
                docs: "https://tenacity.readthedocs.io",
                fails: &[
                    (
                        "RETRY-18",
                        "With the factor NaN the delays are 100 ms, 0 and 0: `wait_exponential` takes the larger one of its \
                         `min`, which is 0, and of a product that is no number.",
                    ),
                    ("RETRY-35", IN_FLIGHT),
                ],
            },
            Peer {
                name: "stamina",
                adapter: "stamina_adapter.py",
                docs: "https://stamina.hynek.me",
                fails: &[
                    ("RETRY-18", "With the factor -2 the second delay is -200 ms, which is none."),
                    (
                        "RETRY-26",
                        "Jitter is added to the delay, and the sum is cut to `wait_max`: at a cap of 10 s every delay is 10 s.",
                    ),
                    ("RETRY-35", IN_FLIGHT),
                    (
                        "RETRY-39",
                        "`timeout` does not look at the delay that `on` returns: with 5 s, 60 s are waited.",
                    ),
                ],
            },
            Peer {
                name: "backoff",
                adapter: "backoff_adapter.py",
                docs: "https://github.com/litl/backoff",
                fails: &[
                    (
                        "RETRY-05",
                        "`max_tries=0` is no limit: the number of tries begins at 1, and is compared by `==`.",
                    ),
                    ("RETRY-18", "With the factor -2 the second delay is -200 ms, which is none."),
                    (
                        "RETRY-32",
                        "`max_time` is measured by `datetime.now`, and follows every change of the system's time.",
                    ),
                ],
            },
        ],
    ),
    (
        NODE,
        &[
            Peer {
                name: "p-retry",
                adapter: "p-retry.mjs",
                docs: "https://github.com/sindresorhus/p-retry",
                fails: &[
                    (
                        "RETRY-19",
                        "A delay is cut to 2^31 - 1 ms, which is 24.8 days: the most that `setTimeout` can express.",
                    ),
                    (
                        "RETRY-26",
                        "The delay times a number from 1 to 2 is cut to `maxTimeout`: at a cap of 10 s every delay is 10 s.",
                    ),
                    ("RETRY-35", IN_FLIGHT),
                    ("RETRY-42", "`onFailedAttempt` is told of the last failure, too."),
                ],
            },
            Peer {
                name: "cockatiel",
                adapter: "cockatiel.mjs",
                docs: "https://github.com/connor4312/cockatiel",
                fails: &[
                    (
                        "RETRY-19",
                        "A delay of more than 2^31 - 1 ms goes to `setTimeout` as it is, which makes 1 ms of it.",
                    ),
                    (
                        "RETRY-26",
                        "`decorrelatedJitterGenerator` grows beyond `maxDelay` and is cut to it: at a cap of 10 s nearly \
                         every delay is 10 s.",
                    ),
                    (
                        "RETRY-44",
                        "A wait does not look at the signal: it goes on, and another attempt follows it.",
                    ),
                    ("RETRY-73", "The wait that an error asks for goes to `setTimeout` as it is, too."),
                    (
                        "RETRY-74",
                        "`noJitterGenerator` has the base 2, and ignores `exponent`: with 1e300 the third delay is 400 ms.",
                    ),
                ],
            },
        ],
    ),
    (
        GO,
        &[Peer {
            name: "cenkalti/backoff",
            adapter: "backoff",
            docs: "https://pkg.go.dev/github.com/cenkalti/backoff/v5",
            fails: &[
                (
                    "RETRY-05",
                    "`WithMaxTries(0)` is no limit: with a delay of 1 s, 3,601 attempts in an hour.",
                ),
                (
                    "RETRY-14",
                    "The first delay is `InitialInterval`, which is not compared to `MaxInterval`: a minute at a cap of 1 s.",
                ),
                (
                    "RETRY-18",
                    "With the factor NaN the second delay is the conversion of NaN to a `Duration`, the least there is on this \
                     processor (-292 years): none.",
                ),
                (
                    "RETRY-25",
                    "`MaxInterval` is the cap of the delay before its jitter, as its documentation says: at a cap of 10 s and with \
                     the usual factor of 0.5, delays are up to 15 s.",
                ),
                (
                    "RETRY-30",
                    "With a `RandomizationFactor` of 2, delays are drawn from -1 to 3 times the interval: a quarter of them is \
                     below zero, which is none.",
                ),
                ("RETRY-35", IN_FLIGHT),
            ],
        }],
    ),
];

pub(super) const LIMIT: [(Language, &[Peer]); 3] = [
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

pub(super) const TASK: [(Language, &[Peer]); 2] = [
    (
        PYTHON,
        &[
            Peer {
                name: "asyncio.TaskGroup",
                adapter: "taskgroup_adapter.py",
                docs: "https://docs.python.org/3/library/asyncio-task.html#task-groups",
                fails: &[],
            },
            Peer {
                name: "anyio",
                adapter: "anyio_adapter.py",
                docs: "https://anyio.readthedocs.io/en/stable/tasks.html",
                fails: &[],
            },
            Peer {
                name: "aiotools.TaskScope",
                adapter: "aiotools_adapter.py",
                docs: "https://aiotools.readthedocs.io",
                fails: &[],
            },
            Peer {
                name: "asyncio.gather",
                adapter: "gather_adapter.py",
                docs: "https://docs.python.org/3/library/asyncio-task.html#asyncio.gather",
                fails: &[(
                    "TASK-18",
                    "Without `return_exceptions` the first exception is raised, and those of the same instant are in no group and no \
                     context: of three, one is told. Alone on Python 3.11.7, too.",
                )],
            },
        ],
    ),
    (
        GO,
        &[
            Peer {
                name: "x/sync/errgroup",
                adapter: "errgroup",
                docs: "https://pkg.go.dev/golang.org/x/sync/errgroup",
                fails: &[
                    ("TASK-12", "`Wait` returns the first error alone: one of three of the same instant."),
                    ("TASK-13", "For that reason, of errors at 1 s and 2 s the one at 1 s is told."),
                    (
                        "TASK-15",
                        "A panic of the code beside a group does not reach `Wait`: a deferred cancel asks the tasks to end, and both of two \
                         are alive when it has gone on.",
                    ),
                    ("TASK-16", PANIC),
                    ("TASK-19", PANIC),
                    ("TASK-20", PANIC),
                    (
                        "TASK-27",
                        "`Go` after `Wait` begins its function, with a context that has ended: \"a Group should not be reused\".",
                    ),
                    (
                        "TASK-35",
                        "`Go` waits for the limit alone: with a limit of 1, when the first task has failed at 1 s the second and \
                         the third begin, with a context that has ended.",
                    ),
                    (
                        "TASK-36",
                        "`SetLimit(0)` \"will prevent any new goroutines from being added\": `Go` waits for ever, also after the \
                         end of the context.",
                    ),
                ],
            },
            Peer {
                name: "sourcegraph/conc",
                adapter: "conc",
                docs: "https://pkg.go.dev/github.com/sourcegraph/conc/pool",
                fails: &[
                    (
                        "TASK-15",
                        "The goroutines of a pool wait for more tasks until `Wait`, which a panic of the code beside it does not \
                         reach: one goroutine is left.",
                    ),
                    (
                        "TASK-18",
                        "`Wait` goes on with one panic: of three of the same instant, the others are forgotten.",
                    ),
                    ("TASK-20", "`Wait` panics, and the error that came before is forgotten."),
                    (
                        "TASK-35",
                        "`Go` waits for a goroutine alone: with one, when the first task has failed at 1 s the second and the third \
                         begin, with a context that has ended.",
                    ),
                ],
            },
        ],
    ),
];

pub(super) const SHUTDOWN: [(Language, &[Peer]); 2] = [
    (
        PYTHON,
        &[Peer {
            name: "asyncio.Runner",
            adapter: "runner_adapter.py",
            docs: "https://docs.python.org/3/library/asyncio-eventloop.html#unix-signals",
            fails: &[
                (
                    "SHUTDOWN-15",
                    "The tasks of the program are a `TaskGroup`, which cancels the others with the first exception, also while they end: \
                 a task that takes 2 s for it is cut at once. Alone on Python 3.11.7, too.",
                ),
                (
                    "SHUTDOWN-41",
                    "`Runner` closes its loop, which gives SIGINT its usual handler back: 40 ms after the end a copy raises \
                 `KeyboardInterrupt` in what follows, and the process ends by signal 2. Alone on Python 3.11.7, too.",
                ),
            ],
        }],
    ),
    (
        GO,
        &[Peer {
            name: "signal.NotifyContext",
            adapter: "notify_context",
            docs: "https://pkg.go.dev/os/signal#NotifyContext",
            fails: &[("SHUTDOWN-13", PANIC), ("SHUTDOWN-14", PANIC), ("SHUTDOWN-15", PANIC)],
        }],
    ),
];
