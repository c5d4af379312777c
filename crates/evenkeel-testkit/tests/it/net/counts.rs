//! The counts of a link.

use evenkeel_testkit::{
    World,
    net::{LinkSnapshot, MemNet, Toxics},
};
use tokio::{io::AsyncWriteExt, time::sleep};

use super::{ADDRESS, connected};
use crate::SECOND;

fn open(stats: LinkSnapshot) -> (usize, usize, u64) {
    (stats.open, stats.peak_open, stats.opened)
}

#[test]
fn connections_are_open_until_either_end_is_dropped() {
    World::run(async |_| {
        let net = MemNet::new();
        let (client, server, link) = connected(&net).await;
        let (other_client, other_server, _) = connected(&net).await;
        assert_eq!(open(link.snapshot()), (2, 2, 2));
        drop(server);
        assert_eq!(open(link.snapshot()), (1, 2, 2));
        drop(client);
        assert_eq!(open(link.snapshot()), (1, 2, 2));
        drop(other_client);
        assert_eq!(open(link.snapshot()), (0, 2, 2));
        drop(other_server);
        let _third = connected(&net).await;
        assert_eq!(open(link.snapshot()), (1, 2, 3));
    });
}

#[test]
fn connections_are_open_until_the_link_ends_them() {
    World::run(async |_| {
        let net = MemNet::new();
        let _held = [connected(&net).await, connected(&net).await];
        let link = net.link(ADDRESS);
        link.cut();
        assert_eq!(open(link.snapshot()), (0, 2, 2));
        link.reset();
        assert_eq!(open(link.snapshot()), (0, 2, 2));

        link.both(Toxics::new().timeout(SECOND));
        let _timed_out = connected(&net).await;
        assert_eq!(open(link.snapshot()), (1, 2, 3));
        sleep(SECOND).await;
        let _others = [connected(&net).await, connected(&net).await];
        assert_eq!(open(link.snapshot()), (2, 2, 5), "nobody looked when the first one timed out");
    });
}

#[test]
fn bytes_are_counted_when_they_are_sent_even_if_nobody_reads_them() {
    World::run(async |_| {
        let (mut client, mut server, link) = connected(&MemNet::new()).await;
        link.upstream(Toxics::new().limit_data(30));
        client.write_all(&[0; 10]).await.unwrap();
        server.write_all(&[0; 200]).await.unwrap();
        let bytes = |stats: LinkSnapshot| (stats.bytes_up, stats.bytes_down);
        assert_eq!(bytes(link.snapshot()), (10, 200));
        client.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!(bytes(link.snapshot()), (30, 200));
        drop((client, server));
        assert_eq!(bytes(link.snapshot()), (30, 200));
    });
}

#[test]
fn a_connect_that_is_dropped_counts_nothing() {
    World::run(async |_| {
        let net = MemNet::new();
        let _listener = net.listen(ADDRESS).unwrap();
        let link = net.link(ADDRESS);
        link.connect_delay(2 * SECOND);
        link.refuse(1);
        assert!(tokio::time::timeout(SECOND, net.connect(ADDRESS)).await.is_err());
        assert_eq!(link.snapshot(), LinkSnapshot::default());
        assert!(net.connect(ADDRESS).await.is_err(), "it was not the one to be refused");
    });
}
