//! Links that change while connections are open.

use std::time::Duration;

use evenkeel_testkit::{
    World, assert_took,
    net::{MemNet, Toxics},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

use super::{connected, polls};
use crate::{MS, SECOND};

const NONE: Toxics = Toxics::new();

#[test]
fn what_is_on_its_way_keeps_its_time() {
    World::run(async |world| {
        let (mut client, mut server, link) = connected(&MemNet::new()).await;
        link.upstream(NONE.latency(SECOND));
        client.write_u8(1).await.unwrap();
        link.upstream(NONE.latency(3 * SECOND));
        client.write_u8(2).await.unwrap();
        link.upstream(NONE);
        client.write_u8(3).await.unwrap();
        for (byte, at) in [(1, SECOND), (2, 3 * SECOND), (3, 3 * SECOND)] {
            assert_eq!((server.read_u8().await.unwrap(), world.elapsed()), (byte, at), "nothing overtakes");
        }
    });
}

#[test]
fn the_other_direction_keeps_its_toxics() {
    World::run(async |_| {
        let (mut client, mut server, link) = connected(&MemNet::new()).await;
        link.both(NONE.latency(SECOND));
        link.downstream(NONE);
        client.write_u8(1).await.unwrap();
        assert_took!(async { server.read_u8().await.unwrap() }, SECOND);
        server.write_u8(1).await.unwrap();
        assert_took!(async { client.read_u8().await.unwrap() }, Duration::ZERO);
    });
}

#[test]
fn a_partition_that_ends_delivers_what_it_held_back() {
    World::run(async |world| {
        let (mut client, mut server, link) = connected(&MemNet::new().buffer(4)).await;
        link.upstream(NONE.partition());
        let reading = tokio::spawn(async move {
            let (byte, polled) = polls(server.read_u8()).await;
            (byte.unwrap(), polled, server)
        });
        let writing = tokio::spawn(async move {
            client.write_all(&[5; 8]).await.unwrap();
            client
        });
        sleep(60 * SECOND).await;
        assert!(!writing.is_finished(), "the buffer is full");
        link.heal();
        let (byte, polled, mut server) = reading.await.unwrap();
        assert_eq!((byte, polled, world.elapsed()), (5, 2, 60 * SECOND));
        server.read_exact(&mut [0; 7]).await.unwrap();
        writing.await.unwrap();
    });
}

#[test]
fn bytes_travel_while_a_partition_holds() {
    World::run(async |_| {
        let (mut client, mut server, link) = connected(&MemNet::new()).await;
        link.upstream(NONE.latency(10 * SECOND));
        client.write_u8(1).await.unwrap();
        link.upstream(NONE.partition());
        sleep(4 * SECOND).await;
        link.heal();
        assert_took!(async { server.read_u8().await.unwrap() }, 6 * SECOND);
    });
}

#[test]
fn an_end_by_the_clock_counts_from_when_it_was_set() {
    World::run(async |_| {
        let (mut client, mut server, link) = connected(&MemNet::new()).await;
        let reading = tokio::spawn(async move { polls(server.read(&mut [0])).await });
        sleep(SECOND).await;
        link.downstream(NONE.timeout(2 * SECOND));
        assert_eq!(assert_took!(async { client.read(&mut [0]).await.unwrap() }, 2 * SECOND), 0);
        let (read, polled) = reading.await.unwrap();
        assert_eq!((read.unwrap(), polled), (0, 2));
    });
}

#[test]
fn an_end_that_is_called_off_does_not_come() {
    World::run(async |_| {
        let (mut client, mut server, link) = connected(&MemNet::new()).await;
        link.both(NONE.reset_peer(2 * SECOND));
        let reading = tokio::spawn(async move { (polls(server.read_u8()).await, server) });
        sleep(SECOND).await;
        link.heal();
        sleep(9 * SECOND).await;
        client.write_u8(1).await.unwrap();
        let ((read, polled), _server) = reading.await.unwrap();
        assert_eq!((read.unwrap(), polled), (1, 2));
    });
}

#[test]
fn a_limit_that_is_passed_already_ends_the_connection_at_once() {
    World::run(async |_| {
        let (mut client, mut server, link) = connected(&MemNet::new()).await;
        client.write_all(&[0; 10]).await.unwrap();
        link.upstream(NONE.limit_data(10));
        server.read_exact(&mut [0; 10]).await.unwrap();
        assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    });
}

#[test]
fn a_stall_set_at_the_present_byte_stalls_the_next() {
    World::run(async |_| {
        let (mut client, mut server, link) = connected(&MemNet::new()).await;
        client.write_all(&[0; 10]).await.unwrap();
        link.upstream(NONE.stall(10, 5 * SECOND));
        client.write_u8(1).await.unwrap();
        server.read_exact(&mut [0; 10]).await.unwrap();
        assert_took!(async { server.read_u8().await.unwrap() }, 5 * SECOND);
        client.write_u8(1).await.unwrap();
        assert_took!(async { server.read_u8().await.unwrap() }, Duration::ZERO);
    });
}

#[test]
fn another_bandwidth_holds_from_the_next_byte_on() {
    World::run(async |world| {
        let (mut client, mut server, link) = connected(&MemNet::new()).await;
        link.upstream(NONE.bandwidth(1000));
        client.write_all(&[0; 1000]).await.unwrap();
        link.upstream(NONE.bandwidth(100));
        client.write_all(&[0; 10]).await.unwrap();
        server.read_exact(&mut [0; 1000]).await.unwrap();
        assert_eq!(world.elapsed(), SECOND);
        assert_took!(async { server.read_exact(&mut [0; 10]).await.unwrap() }, 100 * MS);
    });
}

#[test]
fn bandwidth_begins_anew_after_a_time_without() {
    World::run(async |world| {
        let (mut client, mut server, link) = connected(&MemNet::new()).await;
        let slow = NONE.bandwidth(1000);
        link.upstream(slow);
        client.write_all(&[0; 100]).await.unwrap();
        sleep(SECOND).await;
        link.upstream(NONE);
        client.write_all(&[0; 1]).await.unwrap();
        link.upstream(slow);
        client.write_all(&[0; 100]).await.unwrap();
        server.read_exact(&mut [0; 201]).await.unwrap();
        assert_eq!(world.elapsed(), 1100 * MS);
    });
}

#[test]
fn what_was_due_before_a_change_has_happened() {
    World::run(async |_| {
        let (mut client, _server, link) = connected(&MemNet::new()).await;
        link.both(NONE.reset_peer(SECOND));
        sleep(2 * SECOND).await;
        link.heal();
        let error = client.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    });
}
