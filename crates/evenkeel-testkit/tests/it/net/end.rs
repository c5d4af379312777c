//! How connections end.

use std::{
    future::Future,
    io::ErrorKind::{BrokenPipe, ConnectionReset},
    pin::pin,
    sync::Arc,
    task::{Context, Wake, Waker},
    time::Duration,
};

use evenkeel_testkit::{
    World, assert_took,
    net::{MemNet, MemStream, Toxics},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};

use super::{connected, polls};
use crate::{MS, SECOND};

async fn rest(stream: &mut MemStream) -> (Vec<u8>, std::io::Result<usize>) {
    let mut rest = vec![];
    let result = stream.read_to_end(&mut rest).await;
    (rest, result)
}

#[test]
fn after_a_shutdown_the_other_way_goes_on() {
    World::run(async |_| {
        let (mut client, mut server, _) = connected(&MemNet::new()).await;
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(client.write(b"x").await.unwrap_err().kind(), BrokenPipe);
        let (question, end) = rest(&mut server).await;
        assert_eq!((&*question, end.unwrap()), (&b"question"[..], 8));
        assert_eq!(server.read(&mut [0; 9]).await.unwrap(), 0, "the end stays");
        server.write_all(b"answer").await.unwrap();
        drop(server);
        let (answer, end) = rest(&mut client).await;
        assert_eq!((&*answer, end.unwrap()), (&b"answer"[..], 6));
    });
}

#[test]
fn a_dropped_end_is_an_end_of_stream_and_a_broken_pipe() {
    World::run(async |_| {
        let (mut client, mut server, _) = connected(&MemNet::new()).await;
        server.write_all(b"bye").await.unwrap();
        drop(server);
        assert_eq!(client.write(b"x").await.unwrap_err().kind(), BrokenPipe);
        let (answer, end) = rest(&mut client).await;
        assert_eq!((&*answer, end.unwrap()), (&b"bye"[..], 3));
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(client.write(b"x").await.unwrap_err().kind(), BrokenPipe);
    });
}

#[test]
fn the_news_of_an_end_travels() {
    World::run(async |world| {
        let (mut client, mut server, link) = connected(&MemNet::new().buffer(4)).await;
        link.downstream(Toxics::new().latency(SECOND));
        server.write_all(b"bye").await.unwrap();
        drop(server);
        assert!(client.write(&[0; 100]).await.unwrap() > 0, "nobody knows yet");
        assert!(client.write(&[0; 100]).await.unwrap() > 0, "and nothing fills up");
        let (answer, end) = assert_took!(rest(&mut client), SECOND);
        assert_eq!((&*answer, end.unwrap()), (&b"bye"[..], 3));
        assert_eq!(client.write(b"x").await.unwrap_err().kind(), BrokenPipe);
        assert_eq!(world.elapsed(), SECOND);
    });
}

#[test]
fn a_reset_reaches_both_halves() {
    World::run(async |_| {
        let (mut client, mut server, _) = connected(&MemNet::new().buffer(4)).await;
        server.write_all(b"ha").await.unwrap();
        client.write_all(b"full").await.unwrap();
        let (mut read, mut write) = split(client);
        let reader = tokio::spawn(async move {
            read.read_u16().await.unwrap();
            polls(read.read_u8()).await
        });
        let writer = tokio::spawn(async move { polls(write.write(b"more")).await });
        tokio::task::yield_now().await;
        server.reset();
        let (read, polled) = reader.await.unwrap();
        assert_eq!((read.unwrap_err().kind(), polled), (ConnectionReset, 2));
        let (write, polled) = writer.await.unwrap();
        assert_eq!((write.unwrap_err().kind(), polled), (ConnectionReset, 2));
    });
}

#[test]
fn what_was_sent_before_a_reset_arrives() {
    World::run(async |_| {
        let (mut client, mut server, link) = connected(&MemNet::new()).await;
        link.both(Toxics::new().latency(40 * MS));
        server.write_all(b"half").await.unwrap();
        server.reset();
        let (half, end) = assert_took!(rest(&mut client), 40 * MS);
        assert_eq!((&*half, end.unwrap_err().kind()), (&b"half"[..], ConnectionReset));
        assert_eq!(client.read(&mut [0]).await.unwrap_err().kind(), ConnectionReset);
        assert_eq!(client.write(&[0]).await.unwrap_err().kind(), ConnectionReset);
    });
}

#[test]
fn a_link_that_is_cut_ends_both_sides() {
    World::run(async |_| {
        let (mut client, mut server, link) = connected(&MemNet::new().buffer(4)).await;
        client.write_all(b"full").await.unwrap();
        server.write_all(b"ok").await.unwrap();
        let writing = tokio::spawn(async move {
            let error = client.write(b"more").await.unwrap_err();
            (error.kind(), rest(&mut client).await)
        });
        tokio::task::yield_now().await;
        link.cut();
        let (error, (answer, end)) = writing.await.unwrap();
        assert_eq!((error, &*answer, end.unwrap()), (BrokenPipe, &b"ok"[..], 2));
        let (question, end) = rest(&mut server).await;
        assert_eq!((&*question, end.unwrap()), (&b"full"[..], 4));
        assert_eq!(server.write(b"x").await.unwrap_err().kind(), BrokenPipe);
    });
}

#[test]
fn a_link_that_is_reset_resets_both_sides_of_all_connections() {
    World::run(async |_| {
        let net = MemNet::new();
        let (mut one, mut two, link) = connected(&net).await;
        let (mut three, mut four, _) = connected(&net).await;
        link.reset();
        for stream in [&mut one, &mut two, &mut three, &mut four] {
            assert_eq!(stream.read(&mut [0]).await.unwrap_err().kind(), ConnectionReset);
            assert_eq!(stream.write(&[0]).await.unwrap_err().kind(), ConnectionReset);
        }
        let (mut client, mut server, _) = connected(&net).await;
        client.write_u8(1).await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), 1, "a new one is as good as ever");
    });
}

#[test]
fn what_a_partition_holds_back_is_lost_with_the_connection() {
    World::run(async |_| {
        let (mut client, mut server, link) = connected(&MemNet::new()).await;
        link.downstream(Toxics::new().partition());
        server.write_all(b"lost").await.unwrap();
        client.write_all(b"kept").await.unwrap();
        link.reset();
        let (answer, end) = rest(&mut client).await;
        assert_eq!((&*answer, end.unwrap_err().kind()), (&b""[..], ConnectionReset));
        let (question, end) = rest(&mut server).await;
        assert_eq!((&*question, end.unwrap_err().kind()), (&b"kept"[..], ConnectionReset));
    });
}

#[test]
fn during_a_partition_nobody_learns_that_the_other_end_is_gone() {
    World::run(async |_| {
        let (mut client, server, link) = connected(&MemNet::new()).await;
        link.both(Toxics::new().partition());
        drop(server);
        let waiting = tokio::time::timeout(60 * SECOND, client.read_u8());
        assert!(assert_took!(waiting, 60 * SECOND).is_err());
        client.write_all(b"into the void").await.unwrap();
        link.heal();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(client.write(b"x").await.unwrap_err().kind(), BrokenPipe);
    });
}

#[test]
fn the_first_end_of_a_connection_counts() {
    World::run(async |_| {
        let (mut client, mut server, link) = connected(&MemNet::new()).await;
        link.cut();
        link.reset();
        for stream in [&mut client, &mut server] {
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
            assert_eq!(stream.write(&[0]).await.unwrap_err().kind(), BrokenPipe);
        }
    });
}

#[test]
fn a_writer_does_not_wait_for_a_reader_that_will_not_come() {
    World::run(async |_| {
        let (mut client, mut server, link) = connected(&MemNet::new().buffer(4)).await;
        link.downstream(Toxics::new().latency(SECOND));
        server.write_u8(1).await.unwrap();
        client.write_all(b"full").await.unwrap();
        let writing = tokio::spawn(async move { (client.write(b"void").await, client) });
        tokio::task::yield_now().await;
        link.reset();
        let (write, mut client) = assert_took!(writing, Duration::ZERO).unwrap();
        assert_eq!(write.unwrap(), 4, "the news is on its way");
        assert_took!(async { client.read_u8().await.unwrap() }, SECOND);
        assert_eq!(client.write(b"x").await.unwrap_err().kind(), ConnectionReset);
    });
}

#[test]
fn a_stream_that_is_dropped_keeps_no_waker() {
    struct Count;
    impl Wake for Count {
        fn wake(self: Arc<Self>) {}
    }
    World::run(async |_| {
        let (mut client, _server, _) = connected(&MemNet::new().buffer(1)).await;
        client.write_u8(1).await.unwrap();
        let count = Arc::new(Count);
        let waker = Waker::from(count.clone());
        let mut cx = Context::from_waker(&waker);
        assert!(pin!(client.read_u8()).poll(&mut cx).is_pending());
        assert!(pin!(client.write_u8(1)).poll(&mut cx).is_pending());
        assert_eq!(Arc::strong_count(&count), 4);
        drop(client);
        assert_eq!(Arc::strong_count(&count), 2);
    });
}
