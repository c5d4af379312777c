//! The service for Kubernetes: its numbers beside its manifest, and its stop, in virtual time.

use std::time::Duration;

use evenkeel_shutdown::Shutdown;
use evenkeel_testkit::World;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};

use crate::examples::g03_kubernetes::{GRACE, PORT, PRE_STOP, program};

const MANIFEST: &str = include_str!("../../../kubernetes/deployment.yaml");

/// The request of a client for a websocket.
const UPGRADE: &str = "GET /ws HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A frame that closes a websocket, without a reason.
const CLOSE: [u8; 2] = [0x88, 0];

/// Returns the number of a key that stands once in the manifest.
fn number(key: &str) -> u64 {
    let values =
        |line: &'static str| line.trim_start_matches([' ', '-']).strip_prefix(key)?.strip_prefix(": ");
    let mut found = MANIFEST.lines().filter_map(values);
    let number = found.next().and_then(|number| number.parse().ok()).expect("it is in the manifest");
    assert!(found.next().is_none(), "{key} stands there twice");
    number
}

#[test]
fn the_manifest_leaves_the_time_that_the_program_needs() {
    assert_eq!(GRACE.as_secs() + 2, number("terminationGracePeriodSeconds"));
    let probe = number("periodSeconds") * number("failureThreshold");
    assert!(probe < PRE_STOP.as_secs(), "it is not noticed in time");
    assert_eq!(u64::from(PORT), number("containerPort"));
}

#[tokio::test]
async fn the_times_that_are_reserved_fit_into_the_grace_period() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    drop(program(Shutdown::manual().0, listener).run());
}

/// Returns the status and the body of an answer.
async fn get(port: u16, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Opens a websocket.
async fn socket(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(UPGRADE.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    stream
}

#[test]
fn a_pod_that_is_deleted_serves_goes_and_closes_in_this_order() {
    World::run(async |_| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (shutdown, stop) = Shutdown::manual();
        let serving = tokio::spawn(async { program(shutdown, listener).run().await });

        assert_eq!(get(port, "/ready").await.0, 200);
        let mut socket = socket(port).await;
        let slow = tokio::spawn(get(port, "/slow/8000"));
        sleep(Duration::from_secs(1)).await;
        stop.drain("the pod is deleted");
        let begun = Instant::now();

        // Proxies hear of it now, and until they have, everything is served.
        sleep(Duration::from_secs(1)).await;
        assert_eq!(get(port, "/ready").await.0, 503);
        assert_eq!(get(port, "/live").await, (200, "alive\n".to_owned()));
        assert_eq!(get(port, "/slow/1000").await.0, 200);

        // Then what is under way ends: the websocket at once, the request when it is done.
        let mut frame = [0; 2];
        socket.read_exact(&mut frame).await.unwrap();
        assert_eq!((frame, begun.elapsed()), (CLOSE, PRE_STOP));
        drop(socket);
        assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
        assert_eq!(slow.await.unwrap(), (200, "that took 8s\n".to_owned()));

        let report = serving.await.unwrap();
        assert_eq!((report.exit_code(), begun.elapsed()), (0, Duration::from_secs(7)), "{report}");
        crate::output::assert_printed("the pool is closed\n");
    });
}
