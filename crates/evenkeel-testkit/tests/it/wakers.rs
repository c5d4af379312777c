//! Wakers that call back, or panic, while they are called.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use evenkeel_testkit::{
    World,
    net::{MemNet, MemStream, Toxics},
    probe,
    sequencer::Sequencer,
    waker::{WakerEvent, counting, panicking, with_hook},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::{sleep, timeout},
};

fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>, waker: &Waker) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

/// A waker that panics when it is dropped the first time.
fn panics_on_drop() -> Waker {
    let armed = AtomicBool::new(true);
    with_hook(move |event| {
        if event == WakerEvent::Drop && armed.swap(false, Relaxed) {
            resume_unwind(Box::new("dropped"));
        }
    })
}

#[test]
fn a_waker_may_use_the_steps_that_it_waits_for() {
    let seq = Sequencer::new();
    let waker = with_hook({
        let seq = seq.clone();
        // Asks for another step, and drops the call.
        move |_| drop(poll(&mut Box::pin(seq.at(9)), Waker::noop()))
    });
    let Poll::Ready(first) = poll(&mut Box::pin(seq.at(0)), Waker::noop()) else { panic!("it is the first") };
    let (mut second, mut third) = (Box::pin(seq.at(1)), Box::pin(seq.at(2)));
    for _ in 0..2 {
        assert!(poll(&mut second, &waker).is_pending());
        assert!(poll(&mut third, &waker.clone()).is_pending());
        assert!(poll(&mut third, &with_hook(|_| ())).is_pending());
    }
    drop(third);
    drop(first);
    assert!(poll(&mut second, &waker).is_ready());
}

#[test]
fn a_waker_that_panics_as_it_is_dropped_takes_no_step_with_it() {
    let seq = Sequencer::new();
    let waker = panics_on_drop();
    let first = poll(&mut Box::pin(seq.at(0)), Waker::noop());
    let (mut second, mut third) = (Box::pin(seq.at(1)), Box::pin(seq.at(2)));
    assert!(poll(&mut second, &waker).is_pending());
    assert!(poll(&mut third, Waker::noop()).is_pending());
    drop(first);
    let panic = catch_unwind(AssertUnwindSafe(|| poll(&mut second, Waker::noop()).is_ready())).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"dropped"));
    assert!(poll(&mut third, Waker::noop()).is_ready());
}

#[test]
fn a_waker_may_look_at_the_probe_that_it_is_woken_by() {
    let inner = Arc::new(Mutex::new(None::<Waker>));
    let keep = Arc::clone(&inner);
    let mut metered = Box::pin(probe::meter(std::future::poll_fn(move |cx| {
        *keep.lock().unwrap() = Some(cx.waker().clone());
        Poll::<()>::Pending
    })));
    // It calls the inner waker from its own clone, wake and drop.
    let again = {
        let inner = Arc::clone(&inner);
        move |_| {
            let waker = inner.lock().unwrap().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    };
    let waker = with_hook(again);
    for _ in 0..3 {
        assert!(poll(&mut metered, &waker).is_pending());
        assert!(poll(&mut metered, Waker::noop()).is_pending());
        let woken = inner.lock().unwrap().clone();
        woken.unwrap().wake();
    }
    assert_eq!(metered.counts().polls, 6);
}

/// A client and a server, which the tests poll with wakers of theirs, outside of tasks.
async fn connected(net: &MemNet) -> (MemStream, MemStream) {
    let mut listener = net.listen(ADDRESS).expect("a free address");
    let client = net.connect(ADDRESS).await.expect("a connection");
    (client, listener.accept().await)
}

const ADDRESS: &str = "server.test:1";

fn poll_read(stream: &mut MemStream, waker: &Waker) -> Poll<usize> {
    let mut buf = [0; 8];
    let mut buf = ReadBuf::new(&mut buf);
    let read = Pin::new(stream).poll_read(&mut Context::from_waker(waker), &mut buf);
    read.map(|read| read.map_or(usize::MAX, |()| buf.filled().len()))
}

#[test]
fn a_waker_may_use_the_link_that_it_waits_for() {
    World::run(async |_| {
        let net = MemNet::new();
        let (mut client, mut server) = connected(&net).await;
        let link = net.link(ADDRESS);
        link.both(Toxics::new().latency(Duration::from_secs(1)));
        let called = Arc::new(Mutex::new(Vec::new()));
        let waker = || {
            let (link, called) = (link.clone(), Arc::clone(&called));
            with_hook(move |event| {
                called.lock().unwrap().push(event);
                assert_eq!(link.snapshot().opened, 1);
                link.refuse(0);
            })
        };
        // Cloned, and replaced.
        assert!(poll_read(&mut server, &waker()).is_pending());
        assert!(poll_read(&mut server, &waker()).is_pending());
        // The write arms its timer, which fires.
        client.write_all(b"one").await.unwrap();
        sleep(Duration::from_secs(1)).await;
        assert!(called.lock().unwrap().contains(&WakerEvent::Wake));
        assert_eq!(poll_read(&mut server, Waker::noop()), Poll::Ready(3));
        // Woken by the link, and dropped with the stream.
        called.lock().unwrap().clear();
        assert!(poll_read(&mut server, &waker()).is_pending());
        assert!(poll_read(&mut client, &waker()).is_pending());
        drop(client);
        link.reset();
        sleep(Duration::from_secs(1)).await;
        assert!(called.lock().unwrap().contains(&WakerEvent::Wake));
        drop(server);
        let count = |event| called.lock().unwrap().iter().filter(|called| **called == event).count();
        assert_eq!(count(WakerEvent::Drop), count(WakerEvent::Clone) + 2, "none is kept");
    });
}

#[test]
fn a_waker_that_panics_loses_no_wake_of_a_link() {
    World::run(async |_| {
        let net = MemNet::new();
        let (mut client, mut server) = connected(&net).await;
        let hostile = panicking("hostile");
        let (counts, wakes) = counting();
        assert!(poll_read(&mut server, &hostile).is_pending());
        assert!(poll_read(&mut client, &counts).is_pending());
        let link = net.link(ADDRESS);
        let panic = catch_unwind(AssertUnwindSafe(|| link.cut())).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"hostile"));
        assert_eq!(wakes.load(Relaxed), 1);
    });
}

#[test]
fn a_waker_that_panics_as_it_is_dropped_loses_no_wake_of_a_link() {
    World::run(async |_| {
        let net = MemNet::new();
        let (mut client, mut server) = connected(&net).await;
        let hostile = panics_on_drop();
        let (counts, wakes) = counting();
        assert!(poll_read(&mut server, &hostile).is_pending());
        assert!(poll_read(&mut client, &counts).is_pending());
        let link = net.link(ADDRESS);
        let panic = catch_unwind(AssertUnwindSafe(|| link.cut())).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"dropped"));
        assert_eq!(wakes.load(Relaxed), 1);
    });
}

#[test]
fn an_alarm_that_cannot_be_set_here_is_set_by_the_reader() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (readers, writers) = (runtime(), runtime());
    let net = MemNet::new();
    let (client, server) = readers.block_on(async {
        let (client, server) = connected(&net).await;
        net.link(ADDRESS).both(Toxics::new().latency(Duration::from_millis(20)));
        (client, server)
    });
    // The runtime of the writer, in which the timer was armed, ends before the bytes arrive.
    let (mut client, mut server) = (client, server);
    let mut buf = [0; 3];
    let mut read = Box::pin(server.read_exact(&mut buf));
    readers.block_on(async { assert!(timeout(Duration::from_millis(1), &mut read).await.is_err()) });
    writers.block_on(async { client.write_all(b"one").await.unwrap() });
    drop(writers);
    readers.block_on(async { timeout(Duration::from_secs(60), read).await.unwrap().unwrap() });
    assert_eq!(&buf, b"one");

    // And a writer without a runtime.
    let mut read = Box::pin(server.read_exact(&mut buf));
    readers.block_on(async { assert!(timeout(Duration::from_millis(1), &mut read).await.is_err()) });
    let write = Pin::new(&mut client);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        write.poll_write(&mut Context::from_waker(Waker::noop()), b"two").is_ready()
    }));
    assert!(panicked.is_err(), "there is no runtime");
    readers.block_on(async { timeout(Duration::from_secs(60), read).await.unwrap().unwrap() });
    assert_eq!(&buf, b"two");
}
