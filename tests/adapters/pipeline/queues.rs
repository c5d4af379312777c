//! Peers whose dependencies are too many for this package: their adapters are the program in `tests/queues`.

/// A peer of that program.
pub(crate) struct QueuePeer {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
    pub(crate) docs: &'static str,
    /// The variable that names a server, whose programs the servers of the rules are started from; and its name and version.
    pub(crate) server: &'static str,
    pub(crate) version: &'static str,
    /// Rules that it fails, and why.
    pub(crate) fails: &'static [(&'static str, &'static str)],
}

/// The reasons of queues in a database.
const ENDS: &str = "a call to the database that fails ends the worker: `run` returns the error, and starting again is for the program";
const NO_LEASES: &str = "nothing tells the work on a job that its worker has been given up meanwhile";
const UNCOUNTED: &str = "a job of a dead worker comes back as if that attempt had not been made";
const TWO_CLOCKS: &str =
    "a job is due by the clock of its producer, which is compared with that of the server";

/// The reasons of a stream of messages that knows nothing of the work on them.
const ASKS_AHEAD: &str =
    "the stream of messages asks for the next batch of 200 while the handlers work, and keeps it in a buffer";
const NO_PROGRESS: &str = "no lease is extended while a handler works, or a message waits for one";
const SUPERSEDED: &str =
    "nothing tells the handler of a message that its ack wait has passed, or that it was delivered again";
const NOT_OPENED: &str =
    "a subscription that has ended is not opened again: the service ends, or goes on without it";

pub(crate) const OF_QUEUES: [QueuePeer; 3] = [
    QueuePeer {
        name: "apalis",
        package: "apalis-postgres",
        docs: "https://docs.rs/apalis-postgres/1.0.0/apalis_postgres/",
        server: "EVENKEEL_TEST_POSTGRES",
        version: "PostgreSQL 15",
        fails: &[
            ("PIPELINE-31", ENDS),
            ("PIPELINE-32", NO_LEASES),
            ("PIPELINE-33", NO_LEASES),
            ("PIPELINE-34", NO_LEASES),
            ("PIPELINE-63", ENDS),
            ("PIPELINE-84", ENDS),
            ("PIPELINE-87", ENDS),
            ("PIPELINE-91", ENDS),
            ("PIPELINE-92", ENDS),
            ("PIPELINE-103", TWO_CLOCKS),
        ],
    },
    QueuePeer {
        name: "graphile_worker",
        package: "graphile_worker",
        docs: "https://docs.rs/graphile_worker/0.14.1/graphile_worker/",
        server: "EVENKEEL_TEST_POSTGRES",
        version: "PostgreSQL 15",
        fails: &[
            ("PIPELINE-28", UNCOUNTED),
            ("PIPELINE-31", ENDS),
            ("PIPELINE-32", NO_LEASES),
            ("PIPELINE-33", NO_LEASES),
            ("PIPELINE-34", NO_LEASES),
            ("PIPELINE-63", ENDS),
            ("PIPELINE-84", ENDS),
            ("PIPELINE-85", ENDS),
            ("PIPELINE-87", ENDS),
            ("PIPELINE-91", ENDS),
            ("PIPELINE-102", UNCOUNTED),
        ],
    },
    QueuePeer {
        name: "ruststream",
        package: "ruststream-nats",
        docs: "https://docs.rs/ruststream-nats/0.7.1/ruststream_nats/",
        server: "EVENKEEL_TEST_NATS214",
        version: "NATS 2.14",
        fails: &[
            ("PIPELINE-09", ASKS_AHEAD),
            ("PIPELINE-11", ASKS_AHEAD),
            ("PIPELINE-13", ASKS_AHEAD),
            ("PIPELINE-14", ASKS_AHEAD),
            ("PIPELINE-24", NO_PROGRESS),
            ("PIPELINE-25", NO_PROGRESS),
            ("PIPELINE-26", NO_PROGRESS),
            ("PIPELINE-32", SUPERSEDED),
            ("PIPELINE-33", SUPERSEDED),
            ("PIPELINE-34", SUPERSEDED),
            ("PIPELINE-35", SUPERSEDED),
            ("PIPELINE-74", NO_PROGRESS),
            ("PIPELINE-84", NOT_OPENED),
            ("PIPELINE-85", NOT_OPENED),
            ("PIPELINE-88", NOT_OPENED),
            ("PIPELINE-101", SUPERSEDED),
        ],
    },
];
