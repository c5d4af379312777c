//! The clock beside real sockets.
//!
//! A paused clock is exact beside loopback connections whose two ends are in its runtime, since tokio 1.53.3
//! (and 1.51.6): older ones move it while bytes are in the kernel, and 1.47.1 fails the first of these tests
//! in each run. This suite checks each new tokio.
//!
//! Without `TCP_NODELAY` a sender may wait 40 ms for an acknowledgement that the receiver's kernel delays.
//! Nothing can run meanwhile, and the exact clock moves.

use std::{io, time::Duration};

use evenkeel_testkit::{Clock, World};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

#[cfg(target_os = "linux")]
mod child_processes;
#[cfg(feature = "inspect")]
mod findings;
#[cfg(feature = "http")]
mod foreign;
#[cfg(feature = "proxy")]
mod proxy;
mod threads;
mod unused_port;
#[cfg(feature = "wiremock")]
mod wiremock;

const MIB: usize = 1 << 20;

/// Sends a MiB through an echo in the same runtime, and returns how much came back within five virtual seconds.
async fn echo(pause: Duration) -> io::Result<usize> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut stream = TcpStream::connect(listener.local_addr()?).await?;
    let (mut peer, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    peer.set_nodelay(true)?;
    let echo = tokio::spawn(async move {
        sleep(pause).await;
        let (mut read, mut write) = peer.split();
        tokio::io::copy(&mut read, &mut write).await
    });
    let (mut read, mut write) = stream.split();
    let mut back = vec![0; MIB];
    let both = async { tokio::try_join!(write.write_all(&[7; MIB]), read.read_exact(&mut back)) };
    let got = match timeout(Duration::from_secs(5), both).await {
        Ok(done) => done?.1,
        Err(_) => 0,
    };
    drop(stream);
    echo.await??;
    Ok(got)
}

#[test]
#[ignore = "real tier"]
fn the_exact_clock_stands_still_while_bytes_are_on_a_loopback_of_its_own() {
    for _ in 0..20 {
        World::run(async |world| {
            assert_eq!(echo(Duration::ZERO).await.expect("an echo"), MIB);
            assert_eq!(world.elapsed(), Duration::ZERO);
            assert_eq!(echo(Duration::from_secs(2)).await.expect("an echo"), MIB);
            assert_eq!(world.elapsed(), Duration::from_secs(2));
        });
    }
}

#[test]
#[ignore = "real tier"]
fn so_does_the_quiet_clock() {
    World::builder().clock(Clock::Quiet(Duration::from_millis(5))).run(async |world| {
        assert_eq!(echo(Duration::from_secs(2)).await.expect("an echo"), MIB);
        assert_eq!(world.elapsed(), Duration::from_secs(2));
    });
}
