//! Bytes, and the wakes of readers and writers.

use std::{
    io::{ErrorKind, IoSlice},
    task::Poll,
    time::Duration,
};

use evenkeel_testkit::{
    World, assert_took,
    net::{MemNet, Toxics},
};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    time::sleep,
};

use super::{connected, polls};
use crate::{MS, SECOND};

#[test]
fn bytes_arrive_in_order_both_ways_at_once() {
    World::run(async |_| {
        let (client, server, _) = connected(&MemNet::new().buffer(1000)).await;
        let up: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        let down: Vec<u8> = (0..70_000_u32).map(|n| (n % 241) as u8).collect();
        let exchange = async |stream, send: Vec<u8>| {
            let (mut read, mut write) = split(stream);
            let mut got = vec![];
            let sending = async move {
                write.write_all(&send).await.unwrap();
                write.shutdown().await.unwrap();
            };
            let (_, received) = tokio::join!(sending, read.read_to_end(&mut got));
            received.unwrap();
            got
        };
        let all = async { tokio::join!(exchange(client, up.clone()), exchange(server, down.clone())) };
        let (got_down, got_up) = assert_took!(all, Duration::ZERO);
        assert!(got_up == up && got_down == down);
    });
}

#[test]
fn a_write_takes_what_fits_and_the_next_waits_for_a_read() {
    World::run(async |_| {
        let (mut client, mut server, _) = connected(&MemNet::new().buffer(10)).await;
        assert_eq!(client.write(&[1; 16]).await.unwrap(), 10);
        let reading = tokio::spawn(async move {
            sleep(SECOND).await;
            assert_eq!(server.read(&mut [0; 4]).await.unwrap(), 4);
            server
        });
        let (write, polled) = polls(client.write(&[2; 16])).await;
        assert_eq!((write.unwrap(), polled), (4, 2));
        let mut server = reading.await.unwrap();
        let mut rest = [0; 10];
        server.read_exact(&mut rest).await.unwrap();
        assert_eq!(rest, [1, 1, 1, 1, 1, 1, 2, 2, 2, 2]);
    });
}

#[test]
fn a_byte_on_its_way_takes_its_place_in_the_buffer() {
    World::run(async |_| {
        let (mut client, mut server, link) = connected(&MemNet::new().buffer(10)).await;
        link.upstream(Toxics::new().latency(SECOND));
        let sending = tokio::spawn(async move {
            client.write_all(&[0; 20]).await.unwrap();
            client
        });
        assert_took!(async { server.read_exact(&mut [0; 20]).await.unwrap() }, 2 * SECOND);
        sending.await.unwrap();
    });
}

#[test]
fn nothing_is_read_or_written_with_nothing() {
    World::run(async |_| {
        let (mut client, mut server, _) = connected(&MemNet::new().buffer(1)).await;
        assert_eq!(server.read(&mut []).await.unwrap(), 0);
        assert_eq!(client.write(&[]).await.unwrap(), 0);
        assert_eq!(client.write(&[1]).await.unwrap(), 1);
        assert_eq!(client.write(&[]).await.unwrap(), 0, "even into a full buffer");
        assert_eq!(client.write_vectored(&[]).await.unwrap(), 0);
        assert_eq!(server.read_u8().await.unwrap(), 1);
    });
}

#[test]
fn slices_are_written_together() {
    World::run(async |_| {
        let (mut client, mut server, _) = connected(&MemNet::new().buffer(8)).await;
        let slices = [b"one".as_slice(), b"", b"two", b"three"].map(IoSlice::new);
        assert!(AsyncWrite::is_write_vectored(&client));
        assert_eq!(client.write_vectored(&slices).await.unwrap(), 8);
        let mut got = [0; 8];
        server.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"onetwoth");
    });
}

#[test]
fn a_reader_is_woken_once_for_each_arrival_and_not_before() {
    World::run(async |world| {
        let (mut client, mut server, link) = connected(&MemNet::new()).await;
        link.upstream(Toxics::new().latency(50 * MS));
        let reading = tokio::spawn(async move {
            let mut arrivals = vec![];
            for _ in 0..3 {
                let (byte, polled) = polls(server.read_u8()).await;
                arrivals.push((byte.unwrap(), world.elapsed(), polled));
            }
            arrivals
        });
        tokio::task::yield_now().await;
        for byte in [1, 2, 3] {
            client.write_u8(byte).await.unwrap();
            sleep(10 * MS).await;
        }
        assert_eq!(reading.await.unwrap(), [(1, 50 * MS, 2), (2, 60 * MS, 2), (3, 70 * MS, 2)]);
    });
}

#[test]
fn nobody_is_woken_by_what_others_do() {
    World::run(async |_| {
        let (mut client, mut server, link) = connected(&MemNet::new().buffer(4)).await;
        let waiting = tokio::spawn(async move {
            let (read, polled) = polls(server.read_u8()).await;
            assert_eq!((read.unwrap_err().kind(), polled), (ErrorKind::UnexpectedEof, 2));
        });
        tokio::task::yield_now().await;
        // Reading the counts, and a change without effect on the reader.
        for _ in 0..5 {
            let _ = link.snapshot();
            link.downstream(Toxics::new().latency(MS));
            link.upstream(Toxics::new().latency(MS));
            sleep(SECOND).await;
        }
        client.shutdown().await.unwrap();
        waiting.await.unwrap();
    });
}

#[test]
fn an_alarm_that_is_not_needed_any_more_wakes_nobody() {
    World::run(async |_| {
        let (mut client, mut server, link) = connected(&MemNet::new()).await;
        link.upstream(Toxics::new().reset_peer(10 * SECOND));
        let reading = tokio::spawn(async move {
            let mut counts = vec![polls(server.read_u8()).await.1];
            let (_, polled) = polls(sleep(60 * SECOND)).await;
            counts.push(polled);
            counts
        });
        tokio::task::yield_now().await;
        client.write_u8(1).await.unwrap();
        assert_eq!(reading.await.unwrap(), [2, 2]);
    });
}

#[test]
fn what_was_waited_for_wakes_nobody_later() {
    World::run(async |_| {
        let (mut client, mut server, link) = connected(&MemNet::new()).await;
        link.upstream(Toxics::new().latency(SECOND));
        let reading = tokio::spawn(async move {
            let (_, read) = polls(server.read_u8()).await;
            let (_, slept) = polls(sleep(60 * SECOND)).await;
            (read, slept)
        });
        client.write_u8(1).await.unwrap();
        sleep(2 * SECOND).await;
        client.write_u8(2).await.unwrap();
        assert_eq!(reading.await.unwrap(), (2, 2));
    });
}

#[test]
fn a_busy_writer_wakes_a_reader_no_sooner() {
    World::run(async |_| {
        let (mut client, mut server, link) = connected(&MemNet::new()).await;
        link.upstream(Toxics::new().latency(SECOND));
        let reading = tokio::spawn(async move { polls(server.read_u8()).await.1 });
        tokio::task::yield_now().await;
        // More reads than tokio's budget allows in one poll of a task.
        for _ in 0..1000 {
            client.write_u8(1).await.unwrap();
        }
        assert_eq!(reading.await.unwrap(), 2);
    });
}

#[test]
fn a_busy_stream_lets_others_run() {
    World::run(async |_| {
        let (mut client, mut server, _) = connected(&MemNet::new()).await;
        client.write_all(&[0; 1000]).await.unwrap();
        let mut turns = 0;
        for writes in [true, false] {
            let other = tokio::spawn(async {});
            while !other.is_finished() {
                match writes {
                    true => client.write_u8(1).await.unwrap(),
                    false => drop(server.read_u8().await.unwrap()),
                }
                turns += 1;
                assert!(turns < 1000, "the budget of tokio is not spent");
            }
        }
    });
}

#[test]
fn a_read_that_is_dropped_takes_nothing() {
    World::run(async |_| {
        let (mut client, mut server, _) = connected(&MemNet::new()).await;
        {
            let mut read = std::pin::pin!(server.read_u8());
            let pending = std::future::poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx).is_pending()));
            assert!(pending.await);
            client.write_u8(7).await.unwrap();
        }
        assert_eq!(server.read_u8().await.unwrap(), 7);
    });
}

#[test]
fn it_may_move_between_threads() {
    fn is_send<T: Send + Sync + Unpin + 'static>(value: T) -> T {
        value
    }
    World::run(async |_| {
        let net = is_send(MemNet::new());
        let (client, _server, link) = connected(&net).await;
        is_send((client, link));
    });
}
