//! `Remaining` and `Reset`.

use super::{Row, ms, sec};

pub(super) const LIMITS: &[Row] = &[
    ("X-RateLimit, seconds", &[("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "60")], sec(60)),
    (
        "X-RateLimit, Unix time",
        &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1700000060")],
        sec(60),
    ),
    (
        "X-RateLimit, Unix time in ms",
        &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1700000060000")],
        sec(60),
    ),
    (
        "X-RateLimit, Unix time in µs",
        &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1700000060000000")],
        sec(60),
    ),
    (
        "X-RateLimit, Unix time in ns",
        &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1700000060000000000")],
        sec(60),
    ),
    ("X-RateLimit, fraction", &[("x-ratelimit-remaining", "0.0"), ("x-ratelimit-reset", "2.5")], ms(2500)),
    (
        "X-RateLimit, fraction of Unix time",
        &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1700000060.5")],
        ms(60_500),
    ),
    (
        "X-RateLimit, date",
        &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "2023-11-14T22:14:20Z")],
        sec(60),
    ),
    (
        "X-RateLimit, HTTP date",
        &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "Tue, 14 Nov 2023 22:14:20 GMT")],
        sec(60),
    ),
    (
        "X-RateLimit, date of Ruby",
        &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "2023-11-14 15:14:20 -0700")],
        sec(60),
    ),
    (
        "X-RateLimit, a reset that has passed",
        &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1600000000")],
        sec(0),
    ),
    ("X-Rate-Limit", &[("x-rate-limit-reset", "1700000060"), ("x-rate-limit-remaining", "0")], sec(60)),
    ("two spellings", &[("x-rate-limit-reset", "60"), ("x-ratelimit-remaining", "0")], sec(60)),
    (
        "RateLimit",
        &[("ratelimit-limit", "100, 100;w=60"), ("ratelimit-remaining", "0"), ("ratelimit-reset", "60")],
        sec(60),
    ),
    ("a prefix on one of both", &[("x-ratelimit-remaining", "0"), ("ratelimit-reset", "60")], sec(60)),
    ("a prefix on the other", &[("ratelimit-remaining", "0"), ("x-ratelimit-reset", "60")], sec(60)),
    ("some left", &[("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", "60")], None),
    ("no word of what is left", &[("x-ratelimit-limit", "5"), ("x-ratelimit-reset", "60")], None),
    ("no word of a reset", &[("x-ratelimit-remaining", "0")], None),
    ("less than nothing left", &[("x-ratelimit-remaining", "-1"), ("x-ratelimit-reset", "60")], sec(60)),
    ("less than one left", &[("x-ratelimit-remaining", "0.4"), ("x-ratelimit-reset", "60")], sec(60)),
    (
        "parameters",
        &[
            ("ratelimit-limit", "100;w=21600"),
            ("ratelimit-remaining", "0;w=21600"),
            ("ratelimit-reset", "60;w=21600"),
        ],
        sec(60),
    ),
    (
        "parameters, no reset",
        &[("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", "0;w=21600")],
        None,
    ),
    (
        "scope behind",
        &[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "6m0s")],
        sec(360),
    ),
    (
        "scope before",
        &[("x-ratelimit-requests-remaining", "0"), ("x-ratelimit-requests-reset", "1700000060000")],
        sec(60),
    ),
    (
        "scope before and behind",
        &[("x-ratelimit-requests-remaining", "0"), ("x-ratelimit-reset-requests", "1m")],
        sec(60),
    ),
    (
        "scope of several words",
        &[("x-ratelimit-endpoint-requests-remaining", "0"), ("x-ratelimit-endpoint-requests-reset", "9")],
        sec(9),
    ),
    (
        "vendor and scope",
        &[
            ("anthropic-ratelimit-input-tokens-remaining", "0"),
            ("anthropic-ratelimit-input-tokens-reset", "2023-11-14T22:14:20Z"),
        ],
        sec(60),
    ),
    (
        "vendor in front",
        &[("x-sentry-rate-limit-remaining", "0"), ("x-sentry-rate-limit-reset", "1700000060")],
        sec(60),
    ),
    (
        "another word for limit",
        &[("x-app-limit-24hour-remaining", "0"), ("x-app-limit-24hour-reset", "1700000060")],
        sec(60),
    ),
    ("a quota", &[("x-quota-remaining", "0"), ("x-quota-reset", "60")], sec(60)),
    (
        "another word for remaining",
        &[("x-esi-error-limit-remain", "0"), ("x-esi-error-limit-reset", "46")],
        sec(46),
    ),
    ("scope in one word", &[("x-ratelimit-userremaining", "0"), ("x-ratelimit-userreset", "60")], sec(60)),
    (
        "a scope that has some beside one that has none",
        &[
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ],
        sec(360),
    ),
    (
        "the other way round",
        &[
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-remaining-tokens", "99"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ],
        sec(1),
    ),
    (
        "the longest of scopes",
        &[
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "500ms"),
        ],
        sec(1),
    ),
    (
        "the reset of another scope",
        &[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-tokens", "6m0s")],
        None,
    ),
    ("the reset of a part", &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset-tokens", "6m0s")], None),
    (
        "one reset for all scopes",
        &[
            ("x-contentful-ratelimit-hour-remaining", "35999"),
            ("x-contentful-ratelimit-second-remaining", "0"),
            ("x-contentful-ratelimit-reset", "1"),
        ],
        sec(1),
    ),
    (
        "a reset that belongs to another scope",
        &[("x-ratelimit-remaining", "5"), ("x-ratelimit-reset", "60"), ("x-ratelimit-remaining-tokens", "0")],
        None,
    ),
    (
        "families apart",
        &[
            ("x-ratelimit-remaining", "5"),
            ("x-ratelimit-reset", "3600"),
            ("ratelimit-remaining", "0"),
            ("ratelimit-reset", "10"),
        ],
        sec(10),
    ),
    (
        "the longest of families",
        &[
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "1700003600"),
            ("ratelimit", r#""a";r=0;t=10"#),
        ],
        sec(3600),
    ),
    (
        "reset-after before reset",
        &[
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "1700000064.57"),
            ("x-ratelimit-reset-after", "1.5"),
        ],
        ms(1500),
    ),
    (
        "an unreadable reset-after",
        &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "60"), ("x-ratelimit-reset-after", "?")],
        sec(60),
    ),
    ("reset-in", &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset-in", "1m")], sec(60)),
    (
        "reset-ttl before reset",
        &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "7"), ("x-ratelimit-reset-ttl", "60")],
        sec(60),
    ),
    (
        "reset-at",
        &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset-at", "2023-11-14T22:14:20Z")],
        sec(60),
    ),
    ("reset-ms", &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset-ms", "1500")], ms(1500)),
    (
        "reset-ms, Unix time",
        &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset-ms", "1700000060000")],
        sec(60),
    ),
    ("reset-seconds", &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset-seconds", "60")], sec(60)),
    (
        "reset-time and its unit",
        &[("x-rate-limit-requests-left", "0"), ("x-rate-limit-time-reset-ms", "15000")],
        sec(15),
    ),
    (
        "ResetTime",
        &[
            ("RateLimit-Remaining", "0"),
            ("RateLimit-Reset", "1700000060"),
            ("RateLimit-ResetTime", "Tue, 14 Nov 2023 22:14:20 GMT"),
        ],
        sec(60),
    ),
    (
        "a scope that is a unit",
        &[("x-ratelimit-remaining-minute", "0"), ("x-ratelimit-reset-minute", "30")],
        sec(30),
    ),
    ("a list", &[("x-ratelimit-remaining", "5, 0"), ("x-ratelimit-reset", "10, 60")], sec(60)),
    ("a list, the other one", &[("x-ratelimit-remaining", "0, 5"), ("x-ratelimit-reset", "10, 60")], sec(10)),
    (
        "several lines",
        &[
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "10"),
            ("x-ratelimit-remaining", "5"),
            ("x-ratelimit-reset", "60"),
        ],
        sec(10),
    ),
    ("lists of different length", &[("x-ratelimit-remaining", "9, 0"), ("x-ratelimit-reset", "60")], sec(60)),
    ("underscores", &[("x_ratelimit_remaining", "0"), ("x_ratelimit_reset", "60")], sec(60)),
];
