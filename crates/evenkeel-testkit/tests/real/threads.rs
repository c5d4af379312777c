//! The network in memory, between runtimes in several threads.

use std::{thread, time::Duration};

use evenkeel_testkit::net::{MemNet, Toxics};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::Builder,
};

const MIB: usize = 1 << 20;

fn in_runtime<T>(work: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

#[test]
#[ignore = "real tier"]
fn no_byte_and_no_wake_is_lost_between_threads() {
    let net = MemNet::new().buffer(100);
    let mut listener = net.listen("echo.test:7").expect("a free address");
    let server = thread::spawn(move || {
        in_runtime(async {
            for _ in 0..4 {
                let stream = listener.accept().await;
                tokio::spawn(async move {
                    let (mut read, mut write) = tokio::io::split(stream);
                    tokio::io::copy(&mut read, &mut write).await
                });
            }
            listener.accept().await.read(&mut [0]).await.expect("the last connection ends in order")
        })
    });
    let clients = [1, 2, 3, 4].map(|byte| {
        let net = net.clone();
        thread::spawn(move || {
            in_runtime(async {
                let stream = net.connect("echo.test:7").await.expect("a connection");
                let (mut read, mut write) = tokio::io::split(stream);
                let (sent, mut got) = (vec![byte; MIB], vec![0; MIB]);
                let (written, all) = tokio::join!(write.write_all(&sent), read.read_exact(&mut got));
                written.and(all).expect("an echo");
                assert!(got == sent);
            });
        })
    });
    clients.into_iter().for_each(|client| client.join().expect("a client"));
    in_runtime(async { drop(net.connect("echo.test:7").await) });
    assert_eq!(server.join().expect("a server"), 0);
}

#[test]
#[ignore = "real tier"]
fn what_is_on_its_way_outlives_the_runtime_that_sent_it() {
    let net = MemNet::new();
    net.link("late.test:1").upstream(Toxics::new().latency(Duration::from_millis(100)));
    let mut listener = net.listen("late.test:1").expect("a free address");
    let server = thread::spawn(move || in_runtime(async { listener.accept().await.read_u8().await }));
    in_runtime(async {
        let mut client = net.connect("late.test:1").await.expect("a connection");
        // The server waits already, or finds the connection later.
        tokio::time::sleep(Duration::from_millis(20)).await;
        client.write_u8(7).await.expect("a connection");
    });
    assert_eq!(server.join().expect("a server").expect("a byte"), 7);
}
