//! Replies that no server here can be made to send: of older versions, of clusters, of servers that start.

use std::{
    io::{BufReader, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use evenkeel_limit::{
    Rate,
    distributed::{Distributed, Error, OnFailure, store::Store},
};

use crate::redis::{comes_back, connect, key, store};

/// The reply for a granted permit.
const GRANTED: &str = "*2\r\n:1\r\n:1000\r\n";

/// A server that sends this reply to each call, on each connection, and never hangs up.
#[derive(Clone)]
struct Scripted {
    url: String,
    connections: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
}

impl Scripted {
    fn start(reply: impl Fn(usize, usize) -> &'static str + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let server = Self { url, connections: Arc::default(), calls: Arc::default() };
        let shared = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (connection, calls) =
                    (shared.connections.fetch_add(1, Relaxed), Arc::clone(&shared.calls));
                let reply = reply.clone();
                thread::spawn(move || serve(stream.unwrap(), |call| reply(connection, call), &calls));
            }
        });
        server
    }

    fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }
}

/// Ends when the client or the script hangs up.
fn serve(mut stream: TcpStream, reply: impl Fn(usize) -> &'static str, calls: &AtomicUsize) -> Option<()> {
    let script = redis::Script::new(include_str!("../../src/distributed/take.lua"));
    let hash = format!("$40\r\n{}\r\n", script.get_hash());
    let mut input = BufReader::new(stream.try_clone().unwrap());
    loop {
        let words = number(&mut input, b'*')?;
        let mut command = vec![];
        for _ in 0..words {
            let mut word = vec![0; number(&mut input, b'$')? + 2];
            input.read_exact(&mut word).ok()?;
            word.truncate(word.len() - 2);
            command.push(String::from_utf8(word).unwrap());
        }
        let answer = match command[0].as_str() {
            "EVALSHA" => reply(calls.fetch_add(1, Relaxed)),
            "SCRIPT" => &hash,
            _ => "+OK\r\n",
        };
        if answer.is_empty() {
            return None;
        }
        stream.write_all(answer.as_bytes()).ok()?;
        if command[0] == "QUIT" {
            return None;
        }
    }
}

fn number(input: &mut impl std::io::BufRead, sign: u8) -> Option<usize> {
    let mut line = String::new();
    input.read_line(&mut line).ok().filter(|&read| read > 0)?;
    assert_eq!(line.as_bytes()[0], sign, "{line}");
    line[1..].trim().parse().ok()
}

fn limit(store: impl Store, policy: OnFailure) -> Distributed {
    let quota = Distributed::new(store, key(), Rate::per_second(1000)).burst(1);
    quota.timeout(Duration::from_secs(5)).on_failure(policy)
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test);
}

/// The client leaves a replica of any version at once for the server to which the name leads by now.
#[test]
#[ignore = "real tier"]
fn a_call_that_a_replica_refuses_is_repeated_elsewhere() {
    let replies = [
        "-READONLY You can't write against a read only replica. script: 6e9f, on @user_script:37.\r\n",
        "-ERR Error running script (call to f_6e9f): @user_script:37: @user_script: 37: -READONLY You can't write \
         against a read only replica.\r\n",
        "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n",
        "-MOVED 6099 10.0.0.7:6379\r\n",
        // The client hangs up.
        "",
    ];
    for first in replies {
        run(async {
            let script = move |connection, _| if connection == 0 { first } else { GRANTED };
            let (own, managers) = (Scripted::start(script), Scripted::start(script));
            for (quota, server) in [
                (limit(store(&own.url), OnFailure::Closed), &own),
                (limit(connect(&managers.url), OnFailure::Closed), &managers),
            ] {
                quota.acquire().await.unwrap();
                assert_eq!((quota.snapshot().failures, server.connections()), (0, 2), "{first}");
                quota.acquire().await.unwrap();
                assert_eq!(server.connections(), 2);
            }
        });
    }
}

/// At most once.
#[test]
#[ignore = "real tier"]
fn a_call_is_repeated_once() {
    run(async {
        let server = Scripted::start(|_, _| "-READONLY You can't write against a read only replica.\r\n");
        let quota = limit(store(&server.url), OnFailure::Closed);
        assert!(matches!(quota.acquire().await, Err(Error::Unavailable { .. })));
        assert_eq!((server.connections(), server.calls.load(Relaxed)), (2, 2));
    });
}

/// A server that starts, moves a slot, or cannot write is an outage, and its connection is kept.
#[test]
#[ignore = "real tier"]
fn trouble_of_the_server_is_an_outage() {
    let replies = [
        "-LOADING Redis is loading the dataset in memory\r\n",
        "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n",
        "-CLUSTERDOWN The cluster is down\r\n",
        "-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
        "-ASK 6099 10.0.0.7:6379\r\n",
        "-OOM command not allowed when used memory > 'maxmemory'.\r\n",
        "-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.\r\n",
        "-NOREPLICAS Not enough good replicas to write.\r\n",
        "-NOSCRIPT No matching script. Please use EVAL.\r\n",
        "-ERR upstream failure\r\n",
    ];
    for reply in replies {
        run(async {
            // Each of them makes one call, but a missing script is loaded and called again.
            let server = Scripted::start(move |_, call| if call < 6 { reply } else { GRANTED });
            let store = store(&server.url);
            let closed = limit(store.clone(), OnFailure::Closed);
            let open = limit(store.clone(), OnFailure::Open);
            let share = limit(store, OnFailure::LocalShare(1));
            assert!(matches!(closed.acquire().await, Err(Error::Unavailable { .. })), "{reply}");
            open.acquire().await.unwrap();
            share.acquire().await.unwrap();
            for quota in [&closed, &open, &share] {
                comes_back(quota).await;
            }
            assert_eq!(server.connections(), 1, "{reply}");
        });
    }
}

/// The mistakes that need a cluster, a proxy, or a server of another kind.
#[test]
#[ignore = "real tier"]
fn mistakes_are_told_under_every_policy() {
    let replies = [
        "-MOVED 6099 10.0.0.7:6379\r\n",
        "-ERR Error running script (call to f_6e9f): @user_script:9: @user_script: 9: WRONGTYPE Operation against a key \
         holding the wrong kind of value\r\n",
        "-ERR The user executing the script can't run this command or subcommand script: 6e9f, on @user_script:3.\r\n",
        "-NOAUTH Authentication required.\r\n",
        "-DENIED Redis is running in protected mode because protected mode is enabled\r\n",
        "+PONG\r\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
    ];
    for reply in replies {
        run(async {
            for policy in [OnFailure::Open, OnFailure::Closed, OnFailure::LocalShare(1)] {
                let server = Scripted::start(move |_, _| reply);
                for quota in [limit(store(&server.url), policy), limit(connect(&server.url), policy)] {
                    let error = quota.acquire().await.unwrap_err();
                    assert!(matches!(error, Error::Misconfigured { .. }), "{reply}: {error:?}");
                }
            }
        });
    }
}

/// A server that sends this to each connection, and hangs up without reading.
fn hangs_up(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.write_all(answer.as_bytes());
            let _ = stream.shutdown(Shutdown::Write);
            // Waits for the client to close first: a reset could overtake the answer.
            thread::spawn(move || stream.read_to_end(&mut vec![]));
        }
    });
    address
}

/// The error that a server sends in place of the greeting is the cause, not the lost connection.
#[test]
#[ignore = "real tier"]
fn a_server_that_refuses_connections_is_told_in_its_words() {
    let denied = "-DENIED Redis is running in protected mode because protected mode is enabled and no password is set\r\n";
    let (denied, full) = (hangs_up(denied), hangs_up("-ERR max number of clients reached\r\n"));
    run(async {
        for (login, protocol) in [("", "resp2"), ("", "resp3"), ("u:secret@", "resp3")] {
            let url = |server| format!("redis://{login}{server}/?protocol={protocol}");
            for policy in [OnFailure::Open, OnFailure::Closed, OnFailure::LocalShare(1)] {
                let quota = limit(store(&url(&denied)), policy);
                let error = quota.acquire().await.unwrap_err();
                let Error::Misconfigured { cause, .. } = error else { panic!("{protocol}: {error:?}") };
                assert!(cause.to_string().contains("protected mode"), "{cause}");
            }
            limit(store(&url(&full)), OnFailure::Open).acquire().await.unwrap();
            let error = limit(store(&url(&full)), OnFailure::Closed).acquire().await.unwrap_err();
            let Error::Unavailable { cause, .. } = error else { panic!("{protocol}: {error:?}") };
            assert!(cause.to_string().contains("max number of clients"), "{cause}");
        }
    });
}
