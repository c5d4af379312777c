//! Listening and connecting.

use std::io::ErrorKind::{self, AddrInUse, ConnectionRefused, ConnectionReset};

use evenkeel_testkit::{
    World, assert_took,
    net::{MemNet, Toxics},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
    time::sleep,
};

use super::{ADDRESS, connected, polls};
use crate::SECOND;

#[test]
fn connections_are_accepted_in_order_and_know_their_peers() {
    World::run(async |_| {
        let net = MemNet::new();
        let mut listener = net.listen(ADDRESS).unwrap();
        assert_eq!(listener.address(), ADDRESS);
        let mut clients = vec![];
        for host in ["one", "two", "three"] {
            clients.push(net.at(host).connect(ADDRESS).await.unwrap());
        }
        clients.push(net.connect(ADDRESS).await.unwrap());
        for host in ["one", "two", "three", "client"] {
            assert_eq!(listener.accept().await.peer(), host);
        }
        assert!(clients.iter().all(|client| client.peer() == ADDRESS));
    });
}

#[test]
fn an_accept_waits_and_is_woken_once() {
    World::run(async |_| {
        let net = MemNet::new();
        let mut listener = net.listen(ADDRESS).unwrap();
        let accepting = tokio::spawn(async move { polls(listener.accept()).await.1 });
        sleep(SECOND).await;
        net.connect(ADDRESS).await.unwrap();
        assert_eq!(accepting.await.unwrap(), 2);
    });
}

#[test]
fn an_address_has_one_listener_at_a_time() {
    let net = MemNet::new();
    let first = net.listen(ADDRESS).unwrap();
    let error = net.listen(ADDRESS).unwrap_err();
    assert_eq!(error.kind(), AddrInUse);
    assert_eq!(error.to_string(), "somebody listens on server.test:1 already");
    let _other = net.listen("other.test:1").unwrap();
    drop(first);
    net.listen(ADDRESS).unwrap();
}

#[test]
fn connecting_to_nobody_is_refused() {
    World::run(async |_| {
        let net = MemNet::new();
        let error = net.connect(ADDRESS).await.unwrap_err();
        assert_eq!(error.kind(), ConnectionRefused);
        assert_eq!(error.to_string(), "nobody listens on server.test:1");
        drop(net.listen(ADDRESS).unwrap());
        assert_eq!(net.connect(ADDRESS).await.unwrap_err().kind(), ConnectionRefused);
        assert_eq!(net.link(ADDRESS).snapshot().refused, 2);
    });
}

#[test]
fn connections_that_nobody_accepted_are_reset_with_the_listener() {
    World::run(async |_| {
        let net = MemNet::new();
        let listener = net.listen(ADDRESS).unwrap();
        let mut client = net.connect(ADDRESS).await.unwrap();
        client.write_all(b"hello").await.unwrap();
        drop(listener);
        assert_eq!(client.read(&mut [0]).await.unwrap_err().kind(), ConnectionReset);
    });
}

#[test]
fn a_full_backlog_lets_connects_wait_in_order() {
    World::run(async |_| {
        let net = MemNet::new().backlog(2);
        let mut listener = net.listen(ADDRESS).unwrap();
        let mut connecting = JoinSet::new();
        for host in ["one", "two", "three", "four"] {
            let net = net.at(host);
            connecting.spawn(async move { polls(net.connect(ADDRESS)).await });
        }
        sleep(SECOND).await;
        let done: Vec<_> = std::iter::from_fn(|| connecting.try_join_next()).collect();
        assert_eq!(done.len(), 2);
        for host in ["one", "two", "three", "four"] {
            assert_eq!(listener.accept().await.peer(), host);
        }
        for waited in connecting.join_all().await {
            assert!(waited.0.is_ok());
            assert_eq!(waited.1, 3, "once to yield, once to wait, once to be done");
        }
    });
}

#[test]
fn a_connect_that_waits_for_the_backlog_is_refused_with_the_listener() {
    World::run(async |_| {
        let net = MemNet::new().backlog(1);
        let listener = net.listen(ADDRESS).unwrap();
        let _first = net.connect(ADDRESS).await.unwrap();
        let second = tokio::spawn({
            let net = net.clone();
            async move { net.connect(ADDRESS).await }
        });
        sleep(SECOND).await;
        drop(listener);
        assert_eq!(second.await.unwrap().unwrap_err().kind(), ConnectionRefused);
    });
}

#[test]
fn the_next_connects_are_refused_and_then_none() {
    World::run(async |_| {
        let net = MemNet::new();
        let _listener = net.listen(ADDRESS).unwrap();
        let link = net.link(ADDRESS);
        link.refuse(2);
        for _ in 0..2 {
            let error = net.connect(ADDRESS).await.unwrap_err();
            assert_eq!(error.kind(), ConnectionRefused);
            assert_eq!(error.to_string(), "the link to server.test:1 refuses to connect");
        }
        net.connect(ADDRESS).await.unwrap();
        link.refuse(usize::MAX);
        assert!(net.connect(ADDRESS).await.is_err());
        assert!(net.at("elsewhere").connect(ADDRESS).await.is_ok(), "that is another link");
        link.heal();
        net.connect(ADDRESS).await.unwrap();
        assert_eq!(link.snapshot().refused, 3);
    });
}

#[test]
fn a_connect_takes_its_delay_whatever_becomes_of_it() {
    World::run(async |_| {
        let net = MemNet::new();
        let link = net.link(ADDRESS);
        link.connect_delay(2 * SECOND);
        let refused = assert_took!(net.connect(ADDRESS), 2 * SECOND);
        assert_eq!(refused.unwrap_err().kind(), ConnectionRefused);
        let _listener = net.listen(ADDRESS).unwrap();
        assert_took!(net.connect(ADDRESS), 2 * SECOND).unwrap();
        link.heal();
        assert_took!(net.connect(ADDRESS), std::time::Duration::ZERO).unwrap();
    });
}

#[test]
fn a_connect_waits_for_the_end_of_a_partition_of_either_direction() {
    World::run(async |_| {
        let net = MemNet::new();
        let _listener = net.listen(ADDRESS).unwrap();
        let link = net.link(ADDRESS);
        let cut = Toxics::new().partition();
        link.both(cut);
        let connecting = tokio::spawn({
            let net = net.clone();
            async move { net.connect(ADDRESS).await }
        });
        for still in [(Toxics::new(), cut), (cut, Toxics::new())] {
            link.upstream(still.0);
            link.downstream(still.1);
            sleep(60 * SECOND).await;
            assert!(!connecting.is_finished());
        }
        link.heal();
        assert_took!(connecting, std::time::Duration::ZERO).unwrap().unwrap();
    });
}

#[test]
fn a_connect_is_never_over_at_once() {
    World::run(async |_| {
        let net = MemNet::new();
        assert_eq!(polls(net.connect(ADDRESS)).await.1, 2);
    });
}

#[test]
fn hosts_have_links_of_their_own() {
    World::run(async |_| {
        let net = MemNet::new();
        let mut listener = net.listen(ADDRESS).unwrap();
        let (east, west) = (net.at("east"), net.at("west"));
        east.link(ADDRESS).downstream(Toxics::new().latency(SECOND));
        let mut far = east.connect(ADDRESS).await.unwrap();
        let mut near = west.connect(ADDRESS).await.unwrap();
        for _ in 0..2 {
            let mut served = listener.accept().await;
            served.write_u8(1).await.unwrap();
        }
        assert_took!(async { near.read_u8().await.unwrap() }, std::time::Duration::ZERO);
        assert_took!(async { far.read_u8().await.unwrap() }, SECOND);
        assert_eq!((east.link(ADDRESS).snapshot().opened, west.link(ADDRESS).snapshot().opened), (1, 1));
        assert_eq!(net.link(ADDRESS).snapshot().opened, 0);
    });
}

#[test]
fn a_listener_and_its_connections_outlive_the_network() {
    World::run(async |_| {
        let net = MemNet::new();
        let mut listener = net.listen(ADDRESS).unwrap();
        let mut client = net.connect(ADDRESS).await.unwrap();
        drop(net);
        let mut server = listener.accept().await;
        server.write_u8(1).await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), 1);
        let more = tokio::time::timeout(SECOND, listener.accept());
        assert!(more.await.is_err(), "but nobody else can come");
    });
}

#[test]
fn a_connection_that_is_ended_as_it_is_opened_arrives_and_is_over() {
    for (toxics, expected) in [
        (Toxics::new().limit_data(0), Ok(0)),
        (Toxics::new().reset_data(0), Err(ConnectionReset)),
        (Toxics::new().reset_peer(std::time::Duration::ZERO), Err(ConnectionReset)),
    ] {
        World::run(async |_| {
            let net = MemNet::new();
            net.link(ADDRESS).upstream(toxics);
            let (mut client, mut server, link) = connected(&net).await;
            for stream in [&mut client, &mut server] {
                let read: Result<usize, ErrorKind> =
                    stream.read(&mut [0]).await.map_err(|error| error.kind());
                assert_eq!(read, expected);
            }
            assert_eq!((link.snapshot().opened, link.snapshot().open, link.snapshot().peak_open), (1, 0, 0));
        });
    }
}

#[test]
#[should_panic = "a buffer of zero bytes"]
fn a_buffer_of_zero_is_refused() {
    let _ = MemNet::new().buffer(0);
}

#[test]
#[should_panic = "a backlog of zero connections"]
fn a_backlog_of_zero_is_refused() {
    let _ = MemNet::new().backlog(0);
}
