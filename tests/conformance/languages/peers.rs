//! The peers, each with the rules that it fails, and why, as read in its source.

mod limit;
mod retry;
mod stream;

pub(super) use self::{limit::LIMIT, retry::RETRY, stream::STREAM};
use super::{GO, Language, PYTHON};

pub(super) struct Peer {
    pub(super) name: &'static str,
    /// The file of its adapter.
    pub(super) adapter: &'static str,
    pub(super) docs: &'static str,
    /// Rules that it fails, and why.
    pub(super) fails: &'static [(&'static str, &'static str)],
}

const PANIC: &str = "A panic in a goroutine of an `errgroup.Group` ends the program, which is meant (golang/go #53757, #74275): \
                     exit status 2.";

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
