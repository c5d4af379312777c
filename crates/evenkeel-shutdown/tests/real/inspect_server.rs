//! The page at `/debug/evenkeel` over sockets.
//!
//! A dump is about its whole process, and a look may keep an object for a moment: so each of these is a process of its own.

use std::{net::SocketAddr, time::Duration};

use axum::Router;
use evenkeel_inspect::{InspectService, serve};
use evenkeel_shutdown::Shutdown;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

use crate::{
    process::{Program, STARTED},
    programs::threads,
    soon,
};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Runs a program that a test has started.
fn in_a_process(program: impl Future<Output = ()>) {
    if std::env::var_os(STARTED).is_some() {
        threads().block_on(program);
    }
}

async fn send(server: SocketAddr, request: &str) -> TcpStream {
    let mut client = TcpStream::connect(server).await.expect("it accepts");
    let request = format!("{request} HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\n\r\n");
    client.write_all(request.as_bytes()).await.expect("it reads");
    client
}

/// Sends a request, and returns the whole answer.
async fn ask(server: SocketAddr, request: &str) -> String {
    let mut client = send(server, request).await;
    let mut answer = String::new();
    soon("an answer", client.read_to_string(&mut answer)).await.expect("text");
    answer
}

#[test]
#[ignore = "a program"]
fn the_page_is_there_until_all_else_has_stopped() {
    in_a_process(async {
        let server = serve(LOOPBACK).await.expect("a port");
        let address = server.local_addr();
        let (shutdown, stop) = Shutdown::manual();
        let guard = shutdown.handle().guard("page test upload");
        let run = tokio::spawn(
            shutdown.phase("inspect").task("page", async move |stop| server.run(stop.draining()).await).run(),
        );
        let before = ask(address, "GET /debug/evenkeel").await;
        assert!(before.starts_with("HTTP/1.1 200 OK\r\n") && before.ends_with("</html>\n"), "{before}");
        stop.drain("deploy");
        // The dump has the wait once the stop has begun: another request sees a later look.
        let waits = async {
            loop {
                let answer = ask(address, "GET /debug/evenkeel?format=text").await;
                if answer.contains("waits for the tasks and guards") {
                    return answer;
                }
            }
        };
        let during = soon("the stop", waits).await;
        assert!(during.contains("has 'guard page test upload' for "), "{during}");
        drop(guard);
        let report = soon("the end", run).await.expect("it does not panic");
        assert_eq!(report.exit_code(), 0);
        assert!(TcpStream::connect(address).await.is_err(), "it is closed");
    });
}

#[test]
#[ignore = "a program"]
fn clients_that_say_nothing_leave_room() {
    in_a_process(async {
        let server = serve(LOOPBACK).await.expect("a port");
        let address = server.local_addr();
        let server = tokio::spawn(server.run(std::future::pending()));
        let mut silent = Vec::new();
        for _ in 0..16 {
            silent.push(TcpStream::connect(address).await.expect("it accepts"));
        }
        let mut waiting = send(address, "HEAD /debug/evenkeel").await;
        let mut answer = String::new();
        assert!(
            timeout(Duration::from_millis(50), waiting.read_to_string(&mut answer)).await.is_err(),
            "{answer}"
        );
        drop(silent.pop());
        soon("its turn", waiting.read_to_string(&mut answer)).await.expect("text");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
        // The end of the server closes all.
        server.abort();
        assert!(server.await.expect_err("it never ends").is_cancelled());
        for mut client in silent {
            let read = soon("the end", client.read(&mut [0; 1])).await;
            assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
        }
    });
}

#[test]
#[ignore = "a program"]
fn requests_at_one_time_are_all_answered() {
    in_a_process(async {
        let server = serve(LOOPBACK).await.expect("a port");
        let address = server.local_addr();
        let server = tokio::spawn(server.run(std::future::pending()));
        let mut requests = JoinSet::new();
        for number in 0..100 {
            let path = ["/debug/evenkeel?format=json", "/debug/evenkeel", "/none"][number % 3];
            requests.spawn(async move { (number % 3, ask(address, &format!("GET {path}")).await) });
        }
        while let Some(answer) = requests.join_next().await {
            let (kind, answer) = answer.expect("it does not panic");
            let status = ["200 OK", "200 OK", "404 Not Found"][kind];
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
        }
        server.abort();
    });
}

#[test]
#[ignore = "a program"]
fn a_router_has_the_service() {
    in_a_process(async {
        let listener = TcpListener::bind(LOOPBACK).await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let app = Router::new().route_service("/debug/evenkeel", InspectService::new());
        let app = app.nest_service("/nested", InspectService::new());
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        for path in ["/debug/evenkeel?format=json", "/nested?format=json"] {
            let answer = ask(address, &format!("GET {path}")).await;
            let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
            assert!(
                head.starts_with("HTTP/1.1 200 OK\r\n") && body.starts_with("{\"findings\":["),
                "{answer}"
            );
            assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{answer}");
            assert!(head.contains("cache-control: no-store\r\n"), "{answer}");
        }
        let head = ask(address, "HEAD /debug/evenkeel").await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        assert!(head.contains("content-length: ") && !head.contains("content-length: 0\r\n"), "{head}");
        assert!(ask(address, "DELETE /debug/evenkeel").await.starts_with("HTTP/1.1 405 "));
        server.abort();
    });
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_page_over_sockets() {
    for name in [
        "the_page_is_there_until_all_else_has_stopped",
        "clients_that_say_nothing_leave_room",
        "requests_at_one_time_are_all_answered",
        "a_router_has_the_service",
    ] {
        let (code, errors) = Program::start(&format!("inspect_server::{name}")).ends().await;
        assert_eq!(code, Some(0), "{name}: {errors}");
    }
}
