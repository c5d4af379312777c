//! Ours.

use std::{cell::RefCell, future::Future, pin::Pin, process::Command, rc::Rc, sync::Arc, time::Duration};

use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    testkit::{
        Calls, Capability, Connecting, Connection, Connector, Controls, Cutting, FakeServer, LocalFuture,
        Program, Recorded, Reply, Route, Settings, TestKit,
    },
};
use evenkeel_testkit::{
    World, WorldBuilder, cancel,
    http::{self, Server},
    net::{MemNet, Toxics},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "evenkeel",
    package: "evenkeel-testkit",
    docs: "https://docs.rs/evenkeel-testkit",
    adapter: &Evenkeel,
    isolated: &[],
    fails: &[],
};

struct Evenkeel;

impl Adapter<Settings> for Evenkeel {
    fn supports(&self, _: Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn TestKit>, AdapterError> {
        Ok(Box::new(Kit { settings: settings.clone() }))
    }
}

struct Kit {
    settings: Settings,
}

/// A world with these settings.
pub(crate) fn world(settings: &Settings) -> WorldBuilder {
    let mut builder = World::builder().allow_panics(settings.panics);
    if let Some(limit) = settings.wall_limit {
        builder = builder.wall_limit(limit);
    }
    if let Some(limit) = settings.block_limit {
        builder = builder.block_limit(limit);
    }
    builder
}

impl TestKit for Kit {
    fn run(&self, program: Program) {
        world(&self.settings).run(|world| program.run(Arc::new(InWorld(world))));
    }

    fn cut(&self, operation: Cutting) {
        cut(&operation);
    }

    fn serve(&self, routes: Vec<Route>, calls: Calls) {
        world(&self.settings).run(async |_| calls(Rc::new(start(&routes))).await);
    }

    fn simulate(&self, seed: u64, body: Box<dyn FnOnce(Connector) -> LocalFuture>) {
        world(&self.settings).seed(seed).run(async |world| {
            let net = MemNet::new().seed(world.seed());
            body(echo(&net)).await;
        });
    }

    fn child(&self, rule: &'static str) -> Option<Command> {
        super::child(PEER.name, rule)
    }
}

pub(crate) fn cut(operation: &Cutting) {
    let cuts =
        cancel::every_point(async || operation.setup(), |state| state.operation(), |state| state.check());
    assert!(cuts.points() > 0, "an operation without an await");
}

/// The controls of a world.
pub(crate) struct InWorld(pub(crate) World);

impl Controls for InWorld {
    /// A world is not moved: a test sleeps, and then lets all run.
    fn move_by(&self, time: Duration) -> BoxFuture<'static, ()> {
        let world = self.0.clone();
        Box::pin(async move {
            sleep(time).await;
            world.settle().await;
        })
    }

    fn hold(&self) -> Box<dyn Send> {
        Box::new(self.0.hold())
    }

    fn settle(&self) -> BoxFuture<'static, ()> {
        let world = self.0.clone();
        Box::pin(async move { world.settle().await })
    }
}

/// A fake server in memory, and its network.
pub(crate) struct InMemory {
    net: MemNet,
    server: RefCell<Option<Rc<Server>>>,
}

const ADDRESS: &str = "api.test:80";

/// Starts a fake server with these routes.
pub(crate) fn start(routes: &[Route]) -> InMemory {
    let net = MemNet::new();
    let server = Server::mem(&net, ADDRESS).expect("nobody else listens");
    for Route { path, replies, expected } in routes {
        let path = *path;
        let mut route = server.when(move |call| call.path() == path);
        for (index, reply) in replies.iter().enumerate() {
            let reply = reply_of(*reply);
            if index == 0 {
                route.reply(reply)
            } else {
                route.then(reply)
            };
        }
        if let Some(calls) = expected {
            route.expect(*calls);
        }
    }
    InMemory { net, server: RefCell::new(Some(Rc::new(server))) }
}

fn reply_of(reply: Reply) -> http::Reply {
    match reply {
        Reply::Status(status) => http::Reply::new(status),
        Reply::Late(time) => http::Reply::new(200).latency(time),
        Reply::Reset => http::Reply::reset(),
        Reply::CutBody(body, after) => http::Reply::new(200).body(body).cut_body(after),
        other => panic!("{other:?} is new"),
    }
}

impl FakeServer for InMemory {
    fn connect(&self) -> Connecting {
        let net = self.net.clone();
        Box::pin(async move { Ok(Box::new(net.connect(ADDRESS).await?) as Box<dyn Connection>) })
    }

    fn recorded(&self) -> Pin<Box<dyn Future<Output = Vec<Recorded>>>> {
        let calls = self.server.borrow().as_ref().map(|server| server.calls()).unwrap_or_default();
        let recorded = calls.iter().map(|call| Recorded {
            method: call.method.to_string(),
            path: call.path().to_owned(),
            body: call.text().into_owned(),
        });
        let recorded = recorded.collect();
        Box::pin(async { recorded })
    }

    fn end(&self) {
        drop(self.server.take());
    }
}

/// A connector to a server on this network that sends back all that it gets, with delays of up to 20 ms in each direction.
pub(crate) fn echo(net: &MemNet) -> Connector {
    let toxics = Toxics::new().latency(Duration::from_millis(10)).jitter(Duration::from_millis(10));
    net.link(ADDRESS).both(toxics);
    let mut listener = net.listen(ADDRESS).expect("nobody else listens");
    tokio::spawn(async move {
        let mut stream = listener.accept().await;
        let mut buffer = [0; 64];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            if stream.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    });
    let net = net.clone();
    Arc::new(move || {
        let net = net.clone();
        Box::pin(async move { Ok(Box::new(net.connect(ADDRESS).await?) as Box<dyn Connection>) })
    })
}
