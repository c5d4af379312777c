//! Structured fields, and several kinds of headers in one response.

use super::{Row, sec};

pub(super) const STRUCTURED: &[Row] = &[
    ("RateLimit", &[("ratelimit", r#""default";r=0;t=42"#)], sec(42)),
    (
        "RateLimit with a policy",
        &[("ratelimit-policy", r#""default";q=100;w=60"#), ("ratelimit", r#""default";r=0;t=42"#)],
        sec(42),
    ),
    ("RateLimit in capitals", &[("RATELIMIT", r#""default"; R=0; T=42"#)], sec(42)),
    ("RateLimit, several", &[("RateLimit", r#""a"; t=42; r=0, "b";r=0;t=7, "c";r=1;t=99"#)], sec(42)),
    ("RateLimit, some left", &[("ratelimit", r#""default";r=1;t=42"#)], None),
    ("RateLimit without a time", &[("ratelimit", r#""default";r=0"#)], None),
    ("RateLimit, a token", &[("ratelimit", "default;r=0;t=42")], sec(42)),
    ("RateLimit, separators in the name", &[("ratelimit", r#""a, b;r=7;t=1";r=0;t=9"#)], sec(9)),
    ("RateLimit, escapes in the name", &[("ratelimit", r#""a\";r=0;t=99";r=7;t=9"#)], None),
    ("RateLimit, earlier draft", &[("ratelimit", "limit=100, remaining=0, reset=30")], sec(30)),
    ("RateLimit, earlier draft, some left", &[("ratelimit", "limit=100, remaining=7, reset=30")], None),
    ("RateLimit with a prefix", &[("beta-ratelimit", r#""quota";r=0;t=42"#)], sec(42)),
    ("X-RateLimit", &[("X-Rate-Limit", "limit=100;remaining=0;reset=30")], sec(30)),
    ("RateLimit, a date", &[("ratelimit", r#""default";r=0;t=@1700000060"#)], sec(60)),
    ("of an endpoint", &[("zendesk-ratelimit-tickets-index", "total=100; remaining=0; resets=41")], sec(41)),
];

pub(super) const TOGETHER: &[Row] = &[
    (
        "zero beside a limit",
        &[("retry-after", "0"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "60")],
        sec(60),
    ),
    (
        "0.0 beside a limit",
        &[("retry-after", "0.0"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "60")],
        sec(60),
    ),
    (
        "past beside a limit",
        &[("retry-after", "1699999990"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "60")],
        sec(60),
    ),
    (
        "a past date beside a limit",
        &[("retry-after", "Tue, 14 Nov 2023 22:13:00 GMT"), ("ratelimit", r#""a";r=0;t=60"#)],
        sec(60),
    ),
    (
        "zero beside a limit that has some",
        &[("retry-after", "0"), ("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", "60")],
        sec(0),
    ),
    ("Retry-After goes before a limit", &[("retry-after", "3"), ("ratelimit", r#""a";r=0;t=9"#)], sec(3)),
    (
        "Retry-After beside a limit that has some",
        &[("retry-after", "60"), ("x-ratelimit-remaining", "4990"), ("x-ratelimit-reset", "1700003600")],
        sec(60),
    ),
    ("unreadable beside a limit", &[("retry-after", "soon"), ("ratelimit", r#""a";r=0;t=9"#)], sec(9)),
    (
        "the server is an hour late",
        &[("date", "Tue, 14 Nov 2023 21:13:20 GMT"), ("retry-after", "Tue, 14 Nov 2023 21:14:20 GMT")],
        sec(60),
    ),
    (
        "the server is a day early",
        &[("retry-after", "Wed, 15 Nov 2023 22:14:20 GMT"), ("Date", "Wed, 15 Nov 2023 22:13:20 GMT")],
        sec(60),
    ),
    (
        "the server is in 1970",
        &[("date", "Thu, 01 Jan 1970 00:00:10 GMT"), ("retry-after", "Thu, 01 Jan 1970 00:01:10 GMT")],
        sec(60),
    ),
    (
        "Unix time by the server's clock",
        &[
            ("date", "Tue, 14 Nov 2023 21:13:20 GMT"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "1699996460"),
        ],
        sec(60),
    ),
    ("seconds need no clock", &[("date", "Tue, 14 Nov 2023 21:13:20 GMT"), ("retry-after", "60")], sec(60)),
    ("an unreadable Date", &[("date", "today"), ("retry-after", "1700000060")], sec(60)),
];
