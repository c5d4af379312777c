//! A scripted HTTP server, and a client for it in memory.
//!
//! | client | server | time |
//! |---|---|---|
//! | hyper-util's, by [`Server::client`] or a [`Connector`] | [`Server::mem`] | exact, on any machine |
//! | any that takes a stream | [`Server::mem`] and [`MemNet::connect`](crate::net::MemNet::connect) | exact, on any machine |
//! | reqwest and others that take a URL | [`Server::loopback`] | exact in the same runtime, on Linux |
//!
//! | behavior of the server | default | set by |
//! |---|---|---|
//! | uses a reply | once, and the last one forever | [`Route::times`] |
//! | answers calls without a route | 404, and fails the test at its end | [`Server::when`] for all other calls |
//! | reads a body | up to 16 MiB; 413 beyond | |
//! | faults below HTTP | none | [`Server::link`] |
//!
//! A flaky server is a script:
//!
//! ```
//! use evenkeel_testkit::{World, http::{Method, Reply, Server}};
//! use std::time::Duration;
//!
//! World::run(async |_| {
//!     let server = Server::loopback().await.unwrap();
//!     server
//!         .on(Method::GET, "/report")
//!         .reply(Reply::reset())
//!         .then(Reply::new(503).retry_after(Duration::from_secs(1)))
//!         .then(Reply::new(200).body("half of the report").cut_body(4))
//!         .then(200)
//!         .body("the report")
//!         .expect(4);
//!
//!     // The code under test: it tries until it has a whole answer.
//!     let fetch = async || reqwest::get(server.url("/report")).await?.error_for_status()?.text().await;
//!     let report = loop {
//!         match fetch().await {
//!             Ok(report) => break report,
//!             Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
//!         }
//!     };
//!     assert_eq!(report, "the report");
//!     let at: Vec<u64> = server.calls().iter().map(|call| call.at.as_secs()).collect();
//!     assert_eq!(at, [0, 1, 2, 3]);
//! });
//! ```
//!
//! In memory, each millisecond of the network is exact:
//!
//! ```
//! use evenkeel_testkit::{World, assert_took, http::{Method, Reply, Server}, net::{MemNet, Toxics}};
//! use std::time::Duration;
//!
//! World::run(async |_| {
//!     let server = Server::mem(&MemNet::new(), "api.test").unwrap();
//!     server.on(Method::GET, "/users/{id}").reply(503).then(Reply::reset()).then(200).body("Ada").expect(3);
//!     let get = async || server.client().get(server.url("/users/7").parse().unwrap()).await;
//!     assert_eq!(get().await.unwrap().status(), 503);
//!     assert!(get().await.is_err());
//!     server.link().downstream(Toxics::new().latency(Duration::from_millis(80)));
//!     assert_eq!(assert_took!(get(), Duration::from_millis(80)).unwrap().status(), 200);
//!     assert_eq!(server.calls()[2].path(), "/users/7");
//! });
//! ```

// file         | holds
// server.rs    | `Server`: starts, routes, counts; serves connections
// route.rs, path.rs | `Route`: the replies to the calls that match
// reply.rs     | `Reply`: status, body, latency, faults
// call.rs      | `Call`: a recorded call
// shared.rs    | the state of a server: routes, calls, the way from a call to its reply
// body.rs, fault.rs | bodies in pieces, replies that hyper would not send
// client.rs    | hyper-util's client in memory

pub use hyper::{HeaderMap, Method, Uri, body::Bytes};

pub use self::{
    call::Call,
    client::{Client, Connector},
    reply::Reply,
    route::Route,
    server::Server,
};

mod body;
mod call;
mod client;
mod fault;
mod in_flight;
mod path;
mod reply;
mod route;
mod server;
mod shared;
