//! Tokio's own test utilities, as `#[tokio::test(start_paused = true)]` uses them.

use std::{sync::Arc, time::Duration};

use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    testkit::{Capability, Controls, Program, Settings, TestKit},
};
use tokio::{runtime::Builder, time::advance};

use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "tokio test-util",
    package: "tokio",
    docs: "https://docs.rs/tokio/latest/tokio/time/fn.pause.html",
    adapter: &Paused,
    isolated: &["TESTKIT-18"],
    fails: &[
        (
            "TESTKIT-13",
            "`advance` sets the clock to its end, and then fires what is due: timers of 100 ms and 300 ms see 1 s and 1.2 s.",
        ),
        (
            "TESTKIT-14",
            "`advance` yields once: a task that is woken by it and yields itself goes on after the test.",
        ),
        (
            "TESTKIT-15",
            "100 moves of 1 ms show each tick of an interval of 7 ms, a millisecond late; one of 100 ms shows the first one alone.",
        ),
        ("TESTKIT-18", "A runtime without timers parks until something wakes it, paused or not."),
        (
            "TESTKIT-31",
            "A panic is in the join handle, and gone with it; `unhandled_panic` is behind `--cfg tokio_unstable`.",
        ),
    ],
};

struct Paused;

impl Adapter<Settings> for Paused {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::VirtualTime | Capability::Tests | Capability::Sockets | Capability::Moves => Ok(()),
            Capability::Hold => Err("there is no guard; a blocking task stops the clock"),
            Capability::Settle => Err("there is no such wait; a test yields"),
            Capability::WallLimit => Err("a test that hangs is for the test runner to end"),
            Capability::Blocking => Err("busy times are a metric, which no test looks at"),
            Capability::Leaks => Err("live tasks are a metric, which no test looks at"),
            _ => Err("it is the clock of the runtime"),
        }
    }

    fn configure(&self, _: &Settings) -> Result<Box<dyn TestKit>, AdapterError> {
        Ok(Box::new(Self))
    }
}

impl TestKit for Paused {
    fn run(&self, program: Program) {
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("the system can make a runtime").block_on(program.run(Arc::new(Self)));
    }
}

impl Controls for Paused {
    fn move_by(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(advance(time))
    }
}
