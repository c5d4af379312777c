//! The effect of each toxic, to the millisecond.

use std::{
    io::ErrorKind::{BrokenPipe, ConnectionReset},
    time::Duration,
};

use evenkeel_testkit::{
    World, assert_took,
    net::{MemNet, MemStream, Toxics},
    took,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

use super::{connected, polls};
use crate::{MS, SECOND};

const NONE: Toxics = Toxics::new();

/// The bytes that a client reads, with the time of each read, if a server writes them at once and then closes.
async fn served(net: MemNet, toxics: Toxics, bytes: usize) -> (Vec<(Duration, usize)>, std::io::Result<()>) {
    let (mut client, mut server, link) = connected(&net).await;
    link.downstream(toxics);
    let serving = tokio::spawn(async move {
        let _ = server.write_all(&vec![7; bytes]).await;
        server
    });
    let start = tokio::time::Instant::now();
    let mut reads = vec![];
    let end = loop {
        match client.read(&mut [0; 100_000]).await {
            Ok(0) => break Ok(()),
            Ok(read) => reads.push((start.elapsed(), read)),
            Err(error) => break Err(error),
        }
        if reads.iter().map(|(_, read)| read).sum::<usize>() == bytes {
            drop(serving.await.expect("a server"));
            return (reads, Ok(()));
        }
    };
    let _server = serving.await.expect("a server");
    (reads, end)
}

#[track_caller]
fn reads(toxics: Toxics, bytes: usize, expected: &[(Duration, usize)]) {
    let (reads, end) = World::run(async |_| served(MemNet::new(), toxics, bytes).await);
    end.expect("an end in order");
    assert_eq!(reads, expected);
}

#[test]
fn a_clean_link_takes_no_time() {
    reads(NONE, 10_240, &[(Duration::ZERO, 10_240)]);
}

#[test]
fn latency_delays_all_alike() {
    reads(NONE.latency(50 * MS), 10_240, &[(50 * MS, 10_240)]);
    reads(NONE.latency(100 * 24 * 3600 * SECOND), 1, &[(100 * 24 * 3600 * SECOND, 1)]);
}

#[test]
fn bandwidth_is_exact_and_portioned() {
    let expected: Vec<_> = (1..=10).map(|n| (n * 100 * MS, 100)).collect();
    reads(NONE.bandwidth(1000), 1000, &expected);
    // 1024 bytes per second arrive in portions of 102.
    let (reads, _) = World::run(async |_| served(MemNet::new(), NONE.bandwidth(1024), 10_240).await);
    assert_eq!(reads.last().unwrap().0, 10 * SECOND);
    assert_eq!(reads.iter().map(|(_, read)| *read).max(), Some(102));
}

#[test]
fn a_third_of_a_second_for_each_byte_does_not_add_up_to_more() {
    let (reads, _) = World::run(async |_| served(MemNet::new(), NONE.bandwidth(3), 600).await);
    assert_eq!(reads.last().unwrap().0, 200 * SECOND);
    assert_eq!(reads[2], (SECOND, 1));
}

#[test]
fn bandwidth_that_was_not_used_is_lost() {
    World::run(async |_| {
        let (mut client, mut server, link) = connected(&MemNet::new()).await;
        link.upstream(NONE.bandwidth(1000));
        sleep(10 * SECOND).await;
        for _ in 0..2 {
            client.write_all(&[0; 500]).await.unwrap();
            assert_took!(async { server.read_exact(&mut [0; 500]).await.unwrap() }, 500 * MS);
        }
    });
}

#[test]
fn latency_and_bandwidth_add() {
    let expected = [(150 * MS, 100), (250 * MS, 100), (350 * MS, 100)];
    reads(NONE.latency(50 * MS).bandwidth(1000), 300, &expected);
}

#[test]
fn jitter_stays_in_its_bounds_and_in_order() {
    let times = |seed: u64| {
        World::run(async |world| {
            let (mut client, mut server, link) = connected(&MemNet::new().seed(seed)).await;
            link.upstream(NONE.latency(50 * MS).jitter(20 * MS));
            let sending = tokio::spawn(async move {
                for byte in 0..100 {
                    client.write_u8(byte).await.unwrap();
                    sleep(100 * MS).await;
                }
            });
            let mut delays = vec![];
            for byte in 0..100 {
                assert_eq!(server.read_u8().await.unwrap(), byte);
                delays.push(world.elapsed() - u32::from(byte) * 100 * MS);
            }
            sending.await.unwrap();
            delays
        })
    };
    let delays = times(1);
    assert!(delays.iter().all(|delay| (30 * MS..=70 * MS).contains(delay)), "{delays:?}");
    let spread = |low: u32, high: u32| delays.iter().filter(|d| (low * MS..high * MS).contains(d)).count();
    assert!(spread(30, 40) > 9 && spread(40, 60) > 25 && spread(60, 71) > 9, "{delays:?}");
    assert_eq!(delays, times(1));
    assert_ne!(delays, times(2));
}

#[test]
fn jitter_does_not_reorder_and_does_not_go_below_zero() {
    World::run(async |world| {
        let (mut client, mut server, link) = connected(&MemNet::new()).await;
        link.upstream(NONE.latency(5 * MS).jitter(200 * MS));
        for byte in 0..100 {
            client.write_u8(byte).await.unwrap();
        }
        for byte in 0..100 {
            assert_eq!(server.read_u8().await.unwrap(), byte);
        }
        assert!(world.elapsed() <= 205 * MS);
    });
}

#[test]
fn each_connection_has_jitter_of_its_own() {
    World::run(async |_| {
        let net = MemNet::new();
        let mut delays = vec![];
        for _ in 0..10 {
            let (mut client, mut server, link) = connected(&net).await;
            link.both(NONE.latency(SECOND).jitter(SECOND));
            client.write_u8(0).await.unwrap();
            server.write_u8(0).await.unwrap();
            let both = async { tokio::join!(took(server.read_u8()), took(client.read_u8())) };
            let ((_, up), (_, down)) = both.await;
            delays.extend([up, down]);
        }
        delays.sort();
        delays.dedup();
        assert!(delays.len() > 17, "{delays:?}");
    });
}

#[test]
fn a_slow_close_delays_the_end_and_nothing_else() {
    World::run(async |_| {
        let (mut client, mut server, link) = connected(&MemNet::new()).await;
        link.downstream(NONE.latency(10 * MS).slow_close(SECOND));
        server.write_u8(1).await.unwrap();
        server.shutdown().await.unwrap();
        drop(server);
        assert_took!(async { client.read_u8().await.unwrap() }, 10 * MS);
        assert_eq!(assert_took!(async { client.read(&mut [0]).await.unwrap() }, SECOND), 0);
        assert_eq!(client.write(&[0]).await.unwrap_err().kind(), BrokenPipe);
    });
}

#[test]
fn a_reset_is_no_slow_close() {
    World::run(async |_| {
        let (mut client, server, link) = connected(&MemNet::new()).await;
        link.downstream(NONE.slow_close(SECOND));
        server.reset();
        assert_took!(ends(&mut client, ConnectionReset), Duration::ZERO);
    });
}

#[test]
fn what_takes_for_ever_takes_for_ever() {
    const MAX: Duration = Duration::MAX;
    for toxics in [
        NONE.latency(MAX).jitter(SECOND),
        NONE.slicer(1, 0, MAX).stall(0, MAX),
        NONE.slow_close(MAX).reset_peer(MAX).stall(0, MAX),
        NONE.timeout(MAX),
        NONE.bandwidth(1).latency(MAX),
    ] {
        World::run(async |_| {
            let (mut client, mut server, link) = connected(&MemNet::new()).await;
            link.both(toxics);
            client.write_all(b"hello").await.unwrap();
            client.shutdown().await.unwrap();
            let century = 10 * 365 * 24 * 3600 * SECOND;
            assert!(tokio::time::timeout(century, server.read_to_end(&mut vec![])).await.is_err());
        });
    }
}

async fn ends(stream: &mut MemStream, expected: std::io::ErrorKind) {
    match expected {
        BrokenPipe => assert_eq!(stream.read(&mut [0; 99]).await.ok(), Some(0)),
        _ => assert_eq!(stream.read(&mut [0; 99]).await.map_err(|error| error.kind()), Err(expected)),
    }
    assert_eq!(stream.write(&[0]).await.map_err(|error| error.kind()), Err(expected));
}

#[test]
fn a_timeout_holds_all_back_and_then_closes() {
    World::run(async |_| {
        let net = MemNet::new();
        net.link(super::ADDRESS).downstream(NONE.timeout(3 * SECOND));
        let (mut client, mut server, _) = connected(&net).await;
        server.write_all(b"lost").await.unwrap();
        client.write_all(b"kept").await.unwrap();
        server.read_exact(&mut [0; 4]).await.unwrap();
        assert_took!(ends(&mut client, BrokenPipe), 3 * SECOND);
        ends(&mut server, BrokenPipe).await;
    });
}

#[test]
fn a_timeout_also_ends_the_wait_of_a_writer() {
    World::run(async |_| {
        let (mut client, _server, link) = connected(&MemNet::new().buffer(1)).await;
        link.upstream(NONE.timeout(3 * SECOND));
        client.write_u8(1).await.unwrap();
        let write = assert_took!(client.write(&[0]), 3 * SECOND);
        assert_eq!(write.unwrap_err().kind(), BrokenPipe);
    });
}

#[test]
fn a_reset_comes_when_it_is_due_and_data_flows_until_then() {
    World::run(async |_| {
        let net = MemNet::new();
        net.link(super::ADDRESS).upstream(NONE.reset_peer(3 * SECOND));
        let (mut client, mut server, _) = connected(&net).await;
        sleep(2 * SECOND).await;
        client.write_u8(1).await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), 1);
        assert_took!(ends(&mut client, ConnectionReset), SECOND);
        ends(&mut server, ConnectionReset).await;
        // The next connection has its own three seconds.
        let (mut client, _server, _) = connected(&net).await;
        assert_took!(ends(&mut client, ConnectionReset), 3 * SECOND);
    });
}

#[test]
fn an_end_that_was_due_comes_before_what_is_sent_later() {
    World::run(async |_| {
        let (mut client, mut server, link) = connected(&MemNet::new()).await;
        link.downstream(NONE.reset_peer(SECOND));
        sleep(2 * SECOND).await;
        assert_eq!(server.write(&[0]).await.unwrap_err().kind(), ConnectionReset);
        assert_eq!(client.read(&mut [0]).await.unwrap_err().kind(), ConnectionReset);
    });
}

#[test]
fn slices_have_their_size_and_their_distance() {
    let expected: Vec<_> = (0..5).map(|n| (n * 10 * MS, 20)).collect();
    reads(NONE.slicer(20, 0, 10 * MS), 100, &expected);
    reads(NONE.slicer(40, 0, Duration::ZERO), 100, &[40, 40, 20].map(|size| (Duration::ZERO, size)));
}

#[test]
fn slices_vary_within_their_bounds() {
    let sizes = |seed| {
        let net = MemNet::new().seed(seed);
        let toxics = NONE.slicer(10, 9, Duration::ZERO);
        let (reads, _) = World::run(async |_| served(net, toxics, 10_000).await);
        reads.into_iter().map(|(_, size)| size).collect::<Vec<_>>()
    };
    let mut some = sizes(1);
    assert!(some[..some.len() - 1].iter().all(|size| (1..=19).contains(size)), "{some:?}");
    assert_eq!(some, sizes(1));
    assert_ne!(some, sizes(2));
    some.sort();
    some.dedup();
    assert_eq!(some.len(), 19, "each size came");
}

#[test]
fn slices_are_never_empty() {
    World::run(async |_| {
        let (mut client, mut server, link) = connected(&MemNet::new()).await;
        link.upstream(NONE.slicer(1, 1, Duration::ZERO));
        client.write_all(&[0; 100]).await.unwrap();
        let mut left = 100;
        while left > 0 {
            let (read, polled) = polls(server.read(&mut [0; 99])).await;
            assert_eq!(polled, 1);
            left -= read.unwrap();
        }
    });
}

#[test]
fn a_slice_is_read_apart_from_what_is_none() {
    World::run(async |_| {
        let (mut client, mut server, link) = connected(&MemNet::new()).await;
        client.write_all(&[0; 3]).await.unwrap();
        link.upstream(NONE.slicer(4, 0, Duration::ZERO));
        client.write_all(&[0; 4]).await.unwrap();
        link.heal();
        client.write_all(&[0; 5]).await.unwrap();
        let mut sizes = vec![];
        for _ in 0..3 {
            sizes.push(server.read(&mut [0; 99]).await.unwrap());
        }
        assert_eq!(sizes, [3, 4, 5]);
    });
}

#[test]
fn a_slice_is_read_in_parts_but_never_with_the_next() {
    World::run(async |_| {
        let (mut client, mut server, link) = connected(&MemNet::new()).await;
        link.upstream(NONE.slicer(5, 0, Duration::ZERO));
        client.write_all(&[0; 10]).await.unwrap();
        let mut sizes = vec![];
        for _ in 0..4 {
            sizes.push(server.read(&mut [0; 3]).await.unwrap());
        }
        assert_eq!(sizes, [3, 2, 3, 2]);
    });
}

#[test]
fn limited_data_arrives_and_then_both_sides_are_closed() {
    for limit in [0, 1, 3000, 10_239] {
        World::run(async |_| {
            let net = MemNet::new();
            net.link(super::ADDRESS).downstream(NONE.latency(SECOND).limit_data(limit));
            let (mut client, mut server, _) = connected(&net).await;
            assert_eq!(client.write_u8(1).await.is_err(), limit == 0);
            let written = server.write_all(&[7; 10_240]).await;
            assert_eq!(written.unwrap_err().kind(), BrokenPipe);
            let mut got = vec![];
            client.read_to_end(&mut got).await.unwrap();
            assert_eq!(got, vec![7; limit as usize]);
            ends(&mut client, BrokenPipe).await;
        });
    }
}

#[test]
fn data_limited_by_a_reset_arrives_and_then_both_sides_are_reset() {
    World::run(async |_| {
        let (mut client, mut server, link) = connected(&MemNet::new()).await;
        link.downstream(NONE.reset_data(3000));
        assert_eq!(server.write_all(&[7; 3001]).await.unwrap_err().kind(), ConnectionReset);
        client.read_exact(&mut [0; 3000]).await.unwrap();
        ends(&mut client, ConnectionReset).await;
        ends(&mut server, ConnectionReset).await;
    });
}

#[test]
fn a_limit_ends_the_wait_of_whoever_reads() {
    World::run(async |_| {
        let (client, _server, link) = connected(&MemNet::new()).await;
        link.upstream(NONE.limit_data(3));
        let (mut read, mut write) = tokio::io::split(client);
        let reading = tokio::spawn(async move { polls(read.read(&mut [0])).await });
        tokio::task::yield_now().await;
        write.write_all(b"one").await.unwrap();
        let (read, polled) = reading.await.unwrap();
        assert_eq!((read.unwrap(), polled), (0, 2));
    });
}

#[test]
fn an_end_by_the_clock_wakes_nobody_who_still_has_to_read() {
    World::run(async |_| {
        let (mut client, mut server, link) = connected(&MemNet::new()).await;
        link.upstream(NONE.latency(5 * SECOND).reset_peer(2 * SECOND));
        client.write_u8(1).await.unwrap();
        let (byte, polled) = assert_took!(polls(server.read_u8()), 5 * SECOND);
        assert_eq!((byte.unwrap(), polled), (1, 2));
        ends(&mut server, ConnectionReset).await;
    });
}

#[test]
fn of_two_limits_the_lower_holds() {
    for (limit, reset, expected) in [(5, 9, BrokenPipe), (9, 5, ConnectionReset)] {
        World::run(async |_| {
            let (mut client, mut server, link) = connected(&MemNet::new()).await;
            link.upstream(NONE.limit_data(limit).reset_data(reset));
            assert_eq!(client.write(&[0; 99]).await.unwrap(), 5);
            server.read_exact(&mut [0; 5]).await.unwrap();
            ends(&mut client, expected).await;
            ends(&mut server, expected).await;
        });
    }
}

#[test]
fn a_stall_lets_the_first_bytes_through_and_delays_the_rest() {
    reads(NONE.stall(2000, 30 * SECOND), 10_240, &[(Duration::ZERO, 2000), (30 * SECOND, 8240)]);
    reads(NONE.stall(0, 30 * SECOND).latency(SECOND), 10, &[(31 * SECOND, 10)]);
    reads(NONE.stall(10, 30 * SECOND), 10, &[(Duration::ZERO, 10)]);
}

#[test]
fn a_stall_delays_the_end_that_comes_at_its_place() {
    World::run(async |_| {
        let (mut client, mut server, link) = connected(&MemNet::new()).await;
        link.downstream(NONE.stall(4, 30 * SECOND));
        server.write_all(b"body").await.unwrap();
        drop(server);
        assert_took!(async { client.read_exact(&mut [0; 4]).await.unwrap() }, Duration::ZERO);
        assert_eq!(assert_took!(async { client.read(&mut [0]).await.unwrap() }, 30 * SECOND), 0);
    });
}
