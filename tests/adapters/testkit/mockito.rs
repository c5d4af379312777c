//! mockito: a fake server on the loopback, in real time.

use std::{cell::RefCell, net::SocketAddr, rc::Rc};

use evenkeel_tck::{
    Adapter, AdapterError,
    testkit::{Calls, Capability, Connecting, FakeServer, Program, Reply, Route, Settings, TestKit},
};
use mockito::{Mock, Server, ServerGuard};

use super::loopback::{connect, in_real_time};
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "mockito",
    package: "mockito",
    docs: "https://docs.rs/mockito",
    adapter: &Mockito,
    isolated: &[],
    fails: &[(
        "TESTKIT-50",
        "A server goes back to a pool when it is dropped, without its mocks: its port answers 501 from then on.",
    )],
};

struct Mockito;

impl Adapter<Settings> for Mockito {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Server | Capability::Expectations => Ok(()),
            Capability::CutBodies => {
                Err("an error in a chunked body ends the connection, with or without the bytes before it")
            }
            Capability::Records => Err("it counts the calls of each mock, and keeps none"),
            Capability::Resets => Err("each call gets a status"),
            Capability::Latency => Err("it has no delays"),
            _ => Err("it is a fake server"),
        }
    }

    fn configure(&self, _: &Settings) -> Result<Box<dyn TestKit>, AdapterError> {
        Ok(Box::new(Self))
    }
}

impl TestKit for Mockito {
    fn run(&self, _: Program) {}

    fn serve(&self, routes: Vec<Route>, calls: Calls) {
        in_real_time(async move {
            let mut server = Server::new_async().await;
            let (mut mocks, mut expected) = (Vec::new(), Vec::new());
            for route in routes {
                for reply in route.replies {
                    // The first mock that has not been called as often as expected answers: once, if nothing else is said.
                    let mut mock = server.mock("GET", route.path);
                    mock = match reply {
                        Reply::Status(status) => mock.with_status(status.into()),
                        other => panic!("{other:?} is not supported"),
                    };
                    if let Some(times) = route.expected {
                        mock = mock.expect(times);
                    }
                    let mock = mock.create_async().await;
                    if route.expected.is_some() { &mut expected } else { &mut mocks }.push(mock);
                }
            }
            let address = server.socket_address();
            let started = Rc::new(Started { address, server: RefCell::new(Some((server, mocks))) });
            // A server that is dropped forgets its counts.
            calls(started.clone()).await;
            for mock in expected {
                mock.assert_async().await;
            }
        });
    }
}

struct Started {
    address: SocketAddr,
    server: RefCell<Option<(ServerGuard, Vec<Mock>)>>,
}

impl FakeServer for Started {
    fn connect(&self) -> Connecting {
        connect(self.address)
    }

    fn end(&self) {
        drop(self.server.take());
    }
}
