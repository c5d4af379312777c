#!/usr/bin/env bash
# A `put` of aiochannel, which waits for room, raises that the channel is full, if the channel is closed and full.
#
# Seen with aiochannel 1.4.1. Its documentation says: "Every call to .put() after .close() will fail with a ChannelClosed". A channel has
# room for one item, and has one. One producer waits, then the channel is closed, and another producer comes. The same when
# the item is read before:
#
#     full: the one that waited gets ChannelClosed, the one after the close gets ChannelFull
#     read before: the one after the close gets ChannelClosed
#
# A `put` does not wait at a closed channel, and goes on as `put_nowait`, which asks first whether the channel is full
# (`Channel.put_nowait`). So a producer that ends at `ChannelClosed` fails by another error when its consumer is slow.
#
# Runs Python in a virtual environment in a temporary folder, with a package of PyPI. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "$(python3 --version); seen with aiochannel 1.4.1"

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check aiochannel==1.4.1
cat > "$work/main.py" <<'PY'
import asyncio

from aiochannel import Channel, ChannelClosed, ChannelFull


async def put(channel):
    try:
        await channel.put("item")
    except (ChannelClosed, ChannelFull) as error:
        return type(error).__name__


async def main():
    channel = Channel(1)
    await channel.put("item")
    waits = asyncio.create_task(put(channel))
    await asyncio.sleep(0.01)
    channel.close()
    after = await put(channel)
    print(f"full: the one that waited gets {await waits}, the one after the close gets {after}")

    channel = Channel(1)
    await channel.put("item")
    await channel.get()
    channel.close()
    print(f"read before: the one after the close gets {await put(channel)}")


asyncio.run(main())
PY
expected="full: the one that waited gets ChannelClosed, the one after the close gets ChannelFull
read before: the one after the close gets ChannelClosed"
output=$("$work/venv/bin/python" "$work/main.py")
echo "$output"
if [ "$output" != "$expected" ]; then
    echo "CHANGED"
    exit 1
fi
