//! Peers by the rules of retry.

use super::{
    super::{GO, Language, NODE, PYTHON},
    Peer,
};

const IN_FLIGHT: &str =
    "The total time is looked at between attempts alone: with 5 s, an attempt of 60 s runs to its end.";

pub(in super::super) const RETRY: [(Language, &[Peer]); 3] = [
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
                    (
                        "RETRY-33",
                        "`timeout` is tenacity's `stop_after_delay`, which is looked at after a failure, and not before the next \
                         attempt: with 5 s, attempts of 1 s and delays of 2 s, the third one begins at 6 s.",
                    ),
                    (
                        "RETRY-34",
                        "For that reason, with 5 s and delays of 3 s, attempts are made at 0, 3 and 6 s.",
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
            Peer {
                name: "async-retry",
                adapter: "async-retry.mjs",
                docs: "https://github.com/vercel/async-retry",
                fails: &[
                    (
                        "RETRY-07",
                        "node-retry's `mainError` takes the last of those errors whose message is the most frequent: where three \
                         messages are equal and the fourth is another, the error of attempt 3 comes back.",
                    ),
                    (
                        "RETRY-17",
                        "`createTimeout` makes at least 1 ms of `minTimeout`, and multiplies that: 20 attempts take 524 s.",
                    ),
                    (
                        "RETRY-18",
                        "With the factor NaN the later delays are NaN, of which `setTimeout` makes 1 ms.",
                    ),
                    (
                        "RETRY-19",
                        "A delay of more than 2^31 - 1 ms goes to `setTimeout` as it is, which makes 1 ms of it.",
                    ),
                    (
                        "RETRY-26",
                        "The delay times a number from 1 to 2 is cut to `maxTimeout`: at a cap of 10 s every delay is 10 s.",
                    ),
                    (
                        "RETRY-32",
                        "`maxRetryTime` is measured by `Date`, and follows every change of the system's time.",
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
