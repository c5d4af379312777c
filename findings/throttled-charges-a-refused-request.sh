#!/usr/bin/env bash
# A request that throttled-py refuses uses up the window all the same, if it is the first one of it.
#
# Seen with throttled-py 3.5.0. A sliding window in memory allows 10 units per minute. All are taken in one minute; 15, 30 and 59
# seconds into the next one, two units are asked for. The same with a request for 10 units at the begin of the minute, which is
# refused, as it should be:
#
#     no request is refused: [True, True, True]
#     one request is refused: [False, False, False]
#
# The units of a request are stored when its window has none yet, before the request is allowed (`MemoryLimitActionLogic` of the
# sliding window). The same limiter with its units in Redis stores those of allowed requests only.
#
# Runs Python in a virtual environment in a temporary folder, with a package of PyPI. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "$(python3 --version); seen with throttled-py 3.5.0"

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check throttled-py==3.5.0
cat > "$work/main.py" <<'PY'
from unittest.mock import patch

from throttled import RateLimiterType, Throttled, rate_limiter, store

NOON = 1_700_049_600


def window(refused):
    limiter = Throttled(
        key="key",
        using=RateLimiterType.SLIDING_WINDOW.value,
        quota=rate_limiter.per_min(10),
        store=store.MemoryStore(),
    )

    def allows(second, units):
        with patch("time.time", lambda: NOON + second):
            return not limiter.limit(cost=units).limited

    assert allows(0, 10)
    if refused:
        assert not allows(60, 10)
    return [allows(second, 2) for second in (75, 90, 119)]


print("no request is refused:", window(False))
print("one request is refused:", window(True))
PY
expected="no request is refused: [True, True, True]
one request is refused: [False, False, False]"
output=$("$work/venv/bin/python" "$work/main.py")
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
