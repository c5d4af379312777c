#!/usr/bin/env bash
# A sender of async-channel is overtaken by a thousand that came later.
#
# Seen with async-channel 2.5.0. A channel with room for one item is full; three senders wait. Then an item is received, and
# another sender comes, a thousand times. Of the senders that wait, the second one (3) is never served:
#
#     accepted 1000, and these still wait: [3, 1003, 1004]
#
# A send that is woken tries first, before it looks at its listener, and succeeds. Its listener is dropped with the wake in
# it, which goes on to the next sender. That one tries, finds no room, consumes its listener, and listens anew, at the
# end of the line (`SendInner::poll_with_strategy`). There it is second again when its turn comes.
#
# Runs cargo in a temporary folder, with packages of crates.io. Fails if the behavior changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR
echo "$(cargo --version); seen with async-channel 2.5.0"

mkdir -p "$work/src"
cd "$work"
cat > Cargo.toml <<'TOML'
[package]
name = "starves-a-sender"
version = "0.0.0"
edition = "2024"

[dependencies]
async-channel = "=2.5.0"

[workspace]
TOML
cat > src/main.rs <<'RUST'
use std::{
    pin::Pin,
    sync::{Arc, atomic::{AtomicBool, Ordering::SeqCst}},
    task::{Context, Poll, Wake, Waker},
};

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

struct Sender {
    number: u32,
    send: Pin<Box<dyn Future<Output = ()>>>,
    woken: Arc<Woken>,
}

/// Polls the senders that were woken, until none is; removes those that are done.
fn run(senders: &mut Vec<Sender>) {
    while let Some(index) = senders.iter().position(|sender| sender.woken.0.swap(false, SeqCst)) {
        let waker = Waker::from(senders[index].woken.clone());
        let polled = senders[index].send.as_mut().poll(&mut Context::from_waker(&waker));
        if polled == Poll::Ready(()) {
            senders.remove(index);
        }
    }
}

fn main() {
    let (tx, rx) = async_channel::bounded(1);
    tx.try_send(1).unwrap();
    let mut senders = Vec::new();
    let come = |number, senders: &mut Vec<Sender>| {
        let tx = tx.clone();
        let send = Box::pin(async move { tx.send(number).await.unwrap() });
        senders.push(Sender { number, send, woken: Arc::new(Woken(AtomicBool::new(true))) });
        run(senders);
    };
    (2..=4).for_each(|number| come(number, &mut senders));
    let mut accepted = 0;
    for number in 5..1005 {
        rx.try_recv().unwrap();
        let waiting = senders.len();
        run(&mut senders);
        accepted += waiting - senders.len();
        come(number, &mut senders);
    }
    let waiting: Vec<_> = senders.iter().map(|sender| sender.number).collect();
    println!("accepted {accepted}, and these still wait: {waiting:?}");
}
RUST
output=$(cargo --quiet run)
echo "$output"
if [ "$output" != "accepted 1000, and these still wait: [3, 1003, 1004]" ]; then
    echo "CHANGED"
    exit 1
fi
