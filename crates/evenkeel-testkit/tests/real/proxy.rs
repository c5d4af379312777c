//! Faults in front of a server in another thread.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener},
    thread,
    time::Duration,
};

use evenkeel_testkit::{
    Clock, World, assert_took,
    net::{Proxy, Toxics},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const MS: Duration = Duration::from_millis(1);

/// Starts an echo server with its own threads.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            thread::spawn(move || {
                let mut bytes = [0; 1000];
                while let Ok(len @ 1..) = stream.read(&mut bytes) {
                    if stream.write_all(&bytes[..len]).is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

async fn ask(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(text).await?;
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

#[test]
#[ignore = "real tier"]
fn latency_is_virtual_under_the_quiet_clock() {
    World::builder().clock(Clock::Quiet(200 * MS)).run(async |_| {
        let proxy = Proxy::start(echo()).await.expect("a proxy");
        proxy.link().upstream(Toxics::new().latency(300 * MS));
        proxy.link().downstream(Toxics::new().latency(5000 * MS));
        let mut client = TcpStream::connect(proxy.address()).await.expect("a connection");
        let answer = assert_took!(ask(&mut client, b"hello"), 5300 * MS);
        assert_eq!(answer.expect("an answer"), b"hello");
    });
}

#[test]
#[ignore = "real tier"]
fn faults_reach_both_sides_in_real_time() {
    World::builder().clock(Clock::Real).run(async |_| {
        let proxy = Proxy::start(echo()).await.expect("a proxy");
        let link = proxy.link();
        let connect = async || TcpStream::connect(proxy.address()).await.expect("a connection");

        let mut client = connect().await;
        assert_eq!(ask(&mut client, &[7; 3000]).await.expect("an answer"), [7; 3000]);
        link.reset();
        assert_eq!(client.read_u8().await.expect_err("a reset").kind(), ErrorKind::ConnectionReset);

        link.downstream(Toxics::new().limit_data(4));
        let mut client = connect().await;
        client.write_all(b"cut off").await.expect("a connection");
        let mut got = vec![];
        client.read_to_end(&mut got).await.expect("an end in order");
        assert_eq!(got, b"cut ");

        link.heal();
        link.refuse(1);
        let mut client = connect().await;
        assert_eq!(client.read_u8().await.expect_err("a reset").kind(), ErrorKind::ConnectionReset);

        let mut client = connect().await;
        assert_eq!(ask(&mut client, b"well").await.expect("an answer"), b"well");
        let stats = link.snapshot();
        assert_eq!((stats.opened, stats.refused, stats.bytes_up), (3, 1, 3011));
    });
}

#[test]
#[ignore = "real tier"]
fn a_partition_is_silence_and_not_an_end() {
    World::builder().clock(Clock::Quiet(200 * MS)).run(async |_| {
        let proxy = Proxy::start(echo()).await.expect("a proxy");
        let mut client = TcpStream::connect(proxy.address()).await.expect("a connection");
        ask(&mut client, b"hello").await.expect("an answer");
        proxy.link().both(Toxics::new().partition());
        let silence = tokio::time::timeout(60_000 * MS, ask(&mut client, b"lost?"));
        assert!(assert_took!(silence, 60_000 * MS).is_err());
        proxy.link().heal();
        let mut late = [0; 5];
        client.read_exact(&mut late).await.expect("an answer");
        assert_eq!(&late, b"lost?");
    });
}
