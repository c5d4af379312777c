//! turmoil: hosts on runtimes of their own, in ticks of a millisecond.

use std::{io, sync::Arc, time::Duration};

use evenkeel_tck::{
    Adapter, AdapterError,
    testkit::{Capability, Connection, Connector, Controls, LocalFuture, Program, Settings, TestKit},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::net::{TcpListener, TcpStream};

use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "turmoil",
    package: "turmoil",
    docs: "https://docs.rs/turmoil",
    adapter: &Turmoil,
    isolated: &["TESTKIT-02"],
    fails: &[
        (
            "TESTKIT-02",
            "A simulation runs each host for a tick of 1 ms, one after the other: 20 days are 1.7 thousand million ticks.",
        ),
        (
            "TESTKIT-31",
            "The task of a host is looked at when it has ended, and no task that it has spawned, unless with `--cfg tokio_unstable`.",
        ),
        ("TESTKIT-53", "The seed is nowhere in its errors: a test has to print the one that it draws."),
    ],
};

struct Turmoil;

impl Adapter<Settings> for Turmoil {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::VirtualTime | Capability::Tests | Capability::Seeds => Ok(()),
            Capability::Sockets => Err("hosts use its own network"),
            Capability::Moves => Err("a simulation is stepped from outside of its programs"),
            Capability::WallLimit => Err("a test that hangs is for the test runner to end"),
            Capability::Server => Err("a server is a program of the test"),
            _ => Err("it simulates hosts and their network"),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn TestKit>, AdapterError> {
        Ok(Box::new(Simulation { lasts: settings.lasts }))
    }
}

struct Simulation {
    lasts: Duration,
}

/// Programs run on tokio.
struct Host;

impl Controls for Host {}

const SERVER: &str = "server";

impl TestKit for Simulation {
    fn run(&self, program: Program) {
        let mut sim = turmoil::Builder::new().simulation_duration(self.lasts).build();
        sim.client("test", async move {
            program.run(Arc::new(Host)).await;
            Ok(())
        });
        sim.run().expect("the simulation ends");
    }

    fn simulate(&self, seed: u64, body: Box<dyn FnOnce(Connector) -> LocalFuture>) {
        let mut sim = turmoil::Builder::new()
            .simulation_duration(self.lasts)
            .rng_seed(seed)
            .max_message_latency(Duration::from_millis(20))
            .build();
        sim.host(SERVER, || async {
            let listener = TcpListener::bind(("0.0.0.0", 80)).await?;
            loop {
                let (mut stream, _) = listener.accept().await?;
                let mut buffer = [0; 64];
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    stream.write_all(&buffer[..read]).await?;
                }
            }
        });
        let connect: Connector = Arc::new(|| {
            Box::pin(async {
                let stream = TcpStream::connect((SERVER, 80)).await;
                stream.map(|stream| Box::new(stream) as Box<dyn Connection>).map_err(io::Error::other)
            })
        });
        sim.client("test", async move {
            body(connect).await;
            Ok(())
        });
        sim.run().expect("the simulation ends");
    }

    fn child(&self, rule: &'static str) -> Option<std::process::Command> {
        super::child(PEER.name, rule)
    }
}
