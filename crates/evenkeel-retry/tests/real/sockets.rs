//! Retries of connections that are reset.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use evenkeel_retry::{GaveUp, Policy, Verdict};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::ms;

static POLICY: Policy = Policy::fixed(ms(10)).max_attempts(3);

async fn listen(address: impl Into<SocketAddr>) -> TcpListener {
    TcpListener::bind(address.into()).await.unwrap()
}

async fn ask(server: SocketAddr) -> io::Result<u8> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_u8(41).await?;
    stream.read_u8().await
}

/// Resets this many connections after some bytes have arrived, and then answers.
async fn serve(listener: TcpListener, resets: u32) {
    for number in 0.. {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.readable().await.unwrap();
        if number < resets {
            // Closing with unread bytes sends a reset.
            continue;
        }
        let asked = stream.read_u8().await.unwrap();
        stream.write_u8(asked + 1).await.unwrap();
    }
}

fn verdict(error: &io::Error) -> Verdict {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Verdict::NotSent,
        _ => Verdict::Retry,
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn what_was_refused_was_not_sent_and_is_tried_again() {
    let listener = listen((Ipv4Addr::LOCALHOST, 0)).await;
    let server = listener.local_addr().unwrap();
    drop(listener);
    let gave_up = POLICY.run(|| ask(server)).classify(verdict).at_most_once().await.unwrap_err();
    assert_eq!((gave_up.reason, gave_up.attempts), (GaveUp::Attempts, 3));
    assert_eq!(gave_up.last.unwrap().kind(), io::ErrorKind::ConnectionRefused);

    let started = AtomicU32::new(0);
    let answer = POLICY
        .run(|| ask(server))
        .classify(verdict)
        .observe(|_| {
            if started.fetch_add(1, Relaxed) == 0 {
                tokio::spawn(async move { serve(listen(server).await, 0).await });
            }
        })
        .at_most_once();
    assert_eq!(answer.await.unwrap(), 42, "the server has come up meanwhile");
}

#[tokio::test]
#[ignore = "real tier"]
async fn what_was_reset_may_have_taken_effect() {
    let listener = listen((Ipv4Addr::LOCALHOST, 0)).await;
    let server = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, 3));
    let gave_up = POLICY.run(|| ask(server)).classify(verdict).at_most_once().await.unwrap_err();
    assert_eq!((gave_up.reason, gave_up.attempts), (GaveUp::AtMostOnce, 1));
    assert_eq!(gave_up.last.unwrap().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(POLICY.run(|| ask(server)).classify(verdict).await.unwrap(), 42, "after two more resets");
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_server_that_says_nothing_is_left_at_the_limit_of_the_attempt() {
    // Connections are made by the backlog, and nobody accepts them.
    let listener = listen((Ipv4Addr::LOCALHOST, 0)).await;
    let server = listener.local_addr().unwrap();
    let policy = POLICY.clone().attempt_timeout(ms(50));
    let gave_up = policy.run(|| ask(server)).await.unwrap_err();
    assert_eq!((gave_up.reason, gave_up.attempts), (GaveUp::Attempts, 3));
    assert!(gave_up.last.is_none(), "it timed out");
}
