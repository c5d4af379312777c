//! The quiet clock, with peers in other threads, on a busy machine; and the cost of the exact one.

use std::{
    hint::spin_loop,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use evenkeel_testkit::{Clock, World};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

use crate::{median, tell, wall};

const AT_ONCE: usize = 5;
const IN_TURN: usize = 4;
const WORLDS: usize = 60;

/// The time that a server needs for an answer.
#[expect(clippy::disallowed_methods, reason = "servers know nothing of virtual time")]
fn work() {
    thread::sleep(Duration::from_millis(1));
}

/// Starts a server that answers after a millisecond, from its own threads.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            thread::spawn(move || {
                let mut question = [0; 4];
                while stream.read_exact(&mut question).is_ok() {
                    work();
                    stream.write_all(&question).expect("a client");
                }
            });
        }
    });
    address
}

/// The calls that timed out, and the virtual time.
fn calls(server: SocketAddr, clock: Clock) -> (usize, Duration) {
    let (late, report) = World::builder().clock(clock).run_report(async |_| {
        let mut clients = JoinSet::new();
        for _ in 0..AT_ONCE {
            clients.spawn(async move {
                let mut late = 0;
                for _ in 0..IN_TURN {
                    let call = async {
                        let mut stream = TcpStream::connect(server).await?;
                        stream.write_all(b"ping").await?;
                        stream.read_exact(&mut [0; 4]).await
                    };
                    late += usize::from(!matches!(timeout(Duration::from_secs(5), call).await, Ok(Ok(4))));
                }
                late
            });
        }
        clients.join_all().await.into_iter().sum()
    });
    (late, report.virtual_elapsed)
}

#[test]
#[ignore = "soak"]
fn peers_in_other_threads_never_time_out() {
    let done = Arc::new(AtomicBool::new(false));
    let busy = [(); 6].map(|()| {
        let done = done.clone();
        thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                spin_loop();
            }
        })
    });
    let server = server();
    let run = |clock| {
        let (worlds, time) = wall(|| (0..WORLDS).map(|_| calls(server, clock)).collect::<Vec<_>>());
        let late: usize = worlds.iter().map(|(late, _)| late).sum();
        let moved = worlds.iter().filter(|(_, elapsed)| !elapsed.is_zero()).count();
        let of = WORLDS * AT_ONCE * IN_TURN;
        tell(format_args!(
            "{clock:?}: {late} of {of} timed out, {moved} of {WORLDS} clocks moved, {time:?} wall"
        ));
        late
    };
    let late = run(Clock::Quiet(Duration::from_millis(100)));
    let exact = run(Clock::Exact);
    done.store(true, Ordering::Relaxed);
    busy.into_iter().for_each(|thread| thread.join().expect("it only spins"));
    assert_eq!(late, 0);
    assert!(exact > 0, "the exact clock does as well: then there is no need of another");
}

#[test]
#[ignore = "soak"]
fn a_fresh_world() {
    let walls = (0..5).map(|_| wall(|| (0..10_000).for_each(|_| World::run(async |_| ()))).1).collect();
    tell(format_args!("a fresh world: {:?} (median of 5 times 10,000)", median(walls) / 10_000));
}
