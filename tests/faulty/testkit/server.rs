//! A fake server, with faults.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use evenkeel_tck::testkit::{Calls, Connecting, FakeServer, Recorded, Reply, Route};
use tokio::time::sleep;

use super::Fault;
use crate::adapters::testkit::evenkeel::{InMemory, start};

const MILLI: Duration = Duration::from_millis(1);

pub(super) async fn serve(fault: Fault, mut routes: Vec<Route>, calls: Calls) {
    for route in &mut routes {
        match fault {
            Fault::RepliesInReverse => route.replies.reverse(),
            Fault::ExpectsNothing => route.expected = None,
            Fault::ExpectsOneMore => route.expected = route.expected.map(|calls| calls + 1),
            _ => {}
        }
        for reply in &mut route.replies {
            *reply = match (fault, *reply) {
                (Fault::AnswersNothing, _) => Reply::Reset,
                (Fault::AnswersInPlaceOfAReset, Reply::Reset) => Reply::Status(500),
                (Fault::CutsAByteLater, Reply::CutBody(body, after)) => Reply::CutBody(body, after + 1),
                (Fault::AnswersLate, Reply::Late(time)) => Reply::Late(time + MILLI),
                (_, reply) => reply,
            };
        }
    }
    if fault == Fault::AnswersEverything {
        routes.push(Route { path: "/stock", replies: vec![Reply::Status(200)], expected: None });
    }
    calls(Rc::new(Faulty { fault, sound: start(&routes), connections: Cell::new(0) })).await;
}

struct Faulty {
    fault: Fault,
    sound: InMemory,
    connections: Cell<u32>,
}

impl FakeServer for Faulty {
    fn connect(&self) -> Connecting {
        let before = self.connections.replace(self.connections.get() + 1);
        let connected = self.sound.connect();
        let is_slow = self.fault == Fault::SlowsWithEachCall;
        Box::pin(async move {
            if is_slow {
                sleep(MILLI * before).await;
            }
            connected.await
        })
    }

    fn recorded(&self) -> Pin<Box<dyn Future<Output = Vec<Recorded>>>> {
        let (recorded, fault) = (self.sound.recorded(), self.fault);
        Box::pin(async move {
            let mut calls = recorded.await;
            if fault == Fault::RecordsTheLastFirst {
                calls.reverse();
            }
            calls
        })
    }

    fn end(&self) {
        if self.fault != Fault::StaysAfterItsEnd {
            self.sound.end();
        }
    }
}

/// A number that no call before has returned.
pub(super) fn another_number() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(100);
    LAST.fetch_add(1, Relaxed)
}
