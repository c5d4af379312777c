//! wiremock: a fake server on the loopback, in real time.

use std::{cell::RefCell, future::Future, io, net::SocketAddr, pin::Pin, rc::Rc};

use evenkeel_tck::{
    Adapter, AdapterError,
    testkit::{
        Calls, Capability, Connecting, FakeServer, Program, Recorded, Reply, Route, Settings, TestKit,
    },
};
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers::path};

use super::loopback::{connect, in_real_time};
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "wiremock",
    package: "wiremock",
    docs: "https://docs.rs/wiremock",
    adapter: &Wiremock,
    isolated: &[],
    fails: &[(
        "TESTKIT-50",
        "`MockServer::start` takes a server from a pool, which cleans it when it is taken again: until then its port answers with \
             the mocks of the test before. A server of `MockServer::builder()` ends with its test.",
    )],
};

struct Wiremock;

impl Adapter<Settings> for Wiremock {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Server | Capability::Expectations | Capability::Records | Capability::Resets => {
                Ok(())
            }
            Capability::CutBodies => Err("an error is in place of the whole reply"),
            Capability::Latency => Err("its delays are real"),
            _ => Err("it is a fake server"),
        }
    }

    fn configure(&self, _: &Settings) -> Result<Box<dyn TestKit>, AdapterError> {
        Ok(Box::new(Self))
    }
}

impl TestKit for Wiremock {
    fn run(&self, _: Program) {}

    fn serve(&self, routes: Vec<Route>, calls: Calls) {
        in_real_time(async move {
            let server = MockServer::start().await;
            for Route { path: of, replies, expected } in routes {
                let last = replies.len() - 1;
                for (index, reply) in replies.into_iter().enumerate() {
                    let mock = Mock::given(path(of));
                    let mut mock = match reply {
                        Reply::Status(status) => mock.respond_with(ResponseTemplate::new(status)),
                        Reply::Reset => mock
                            .respond_with_err(|_: &Request| io::Error::from(io::ErrorKind::ConnectionReset)),
                        other => panic!("{other:?} is not supported"),
                    };
                    if index < last {
                        mock = mock.up_to_n_times(1);
                    }
                    if let Some(times) = expected {
                        mock = mock.expect(times as u64);
                    }
                    mock.mount(&server).await;
                }
            }
            let address = *server.address();
            calls(Rc::new(Started { address, server: RefCell::new(Some(Rc::new(server))) })).await;
        });
    }
}

struct Started {
    address: SocketAddr,
    server: RefCell<Option<Rc<MockServer>>>,
}

impl FakeServer for Started {
    fn connect(&self) -> Connecting {
        connect(self.address)
    }

    fn recorded(&self) -> Pin<Box<dyn Future<Output = Vec<Recorded>>>> {
        let server = self.server.borrow().clone();
        Box::pin(async move {
            let requests = match server {
                Some(server) => server.received_requests().await.unwrap_or_default(),
                None => Vec::new(),
            };
            let recorded = requests.iter().map(|request| Recorded {
                method: request.method.to_string(),
                path: request.url.path().to_owned(),
                body: String::from_utf8_lossy(&request.body).into_owned(),
            });
            recorded.collect()
        })
    }

    fn end(&self) {
        drop(self.server.take());
    }
}
