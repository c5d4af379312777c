//! Fake HTTP servers: their replies, their faults, their records.

use std::{future::poll_fn, io, pin::Pin, rc::Rc, task::Poll};

use super::prelude::*;
use crate::testkit::{
    FakeServer, Recorded,
    harness::passes,
    http::{Answer, call},
};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "TESTKIT-41" alone testkit_41 "Replies come in the order in which they were given.").needs(Needs::BESIDE),
    rule!(Must "TESTKIT-42" alone testkit_42 "A call that nothing matches gets no success.").needs(Needs::BESIDE),
    rule!(Must "TESTKIT-43" alone testkit_43 "Calls that are expected and do not come fail the test.").needs(Needs::BESIDE),
    rule!(Must "TESTKIT-44" alone testkit_44 "Calls that come as expected do not.").needs(Needs::BESIDE),
    rule!(Must "TESTKIT-45" alone testkit_45 "Calls are recorded in their order, with method, path and body.").needs(Needs::BESIDE),
    rule!(Must "TESTKIT-46" alone testkit_46 "A reset comes in its place among the replies.").needs(Needs::BESIDE),
    rule!(Must "TESTKIT-47" alone testkit_47 "A body that is cut ends after exactly so many bytes.").needs(Needs::BESIDE),
    rule!(Must "TESTKIT-48" alone testkit_48 "A reply comes exactly after its latency.").needs(Needs::BESIDE),
    rule!(Must "TESTKIT-49" alone testkit_49 "Calls at once are answered at once.").needs(Needs::BESIDE),
    rule!(Should "TESTKIT-50" alone testkit_50 "A server that has ended takes no call.").needs(Needs::BESIDE),
];

const OK: Reply = Reply::Status(200);
const BUSY: Reply = Reply::Status(503);

fn orders(replies: &[Reply], expected: Option<usize>) -> [Route; 1] {
    [Route { path: "/orders", replies: replies.to_vec(), expected }]
}

async fn get(server: &Rc<dyn FakeServer>, path: &str) -> io::Result<Answer> {
    call(server.connect().await?, "GET", path, "").await
}

/// The statuses of so many calls; `None` for one without a reply.
async fn statuses(server: &Rc<dyn FakeServer>, calls: usize) -> Vec<Option<u16>> {
    let mut statuses = Vec::new();
    for _ in 0..calls {
        statuses.push(get(server, "/orders").await.ok().map(|answer| answer.status));
    }
    statuses
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, got: T, want: T) -> Checked {
    if got == want {
        return Ok(());
    }
    Err(Verdict::fail(format_args!("{what} {want:?}"), format_args!("{got:?}")))
}

fn testkit_41(subject: &Subject) -> Checked {
    needs(subject, Capability::Server)?;
    let routes = orders(&[BUSY, Reply::Status(500), OK], None);
    let (got, failure) = serve(subject, &routes, async |server| statuses(&server, 3).await)?;
    equal("the statuses", got, vec![Some(503), Some(500), Some(200)])?;
    passes(failure)
}

/// Whether such a call fails the test is for the kit to say. A server that answers nothing gives no success either.
fn testkit_42(subject: &Subject) -> Checked {
    needs(subject, Capability::Server)?;
    let (got, _) = serve(subject, &orders(&[OK], None), async |server| {
        let known = get(&server, "/orders").await.ok().map(|answer| answer.status);
        (known, get(&server, "/stock").await)
    })?;
    let (known, unknown) = got;
    equal("the status of a path that it knows", known, Some(200))?;
    match unknown {
        Ok(answer) if answer.status < 400 => {
            Err(Verdict::fail("a status from 400 on, or no reply", format_args!("{}", answer.status)))
        }
        _ => Ok(()),
    }
}

fn testkit_43(subject: &Subject) -> Checked {
    needs(subject, Capability::Server)?;
    needs(subject, Capability::Expectations)?;
    let (_, failure) = serve(subject, &orders(&[OK], Some(2)), async |server| statuses(&server, 1).await)?;
    let passed = || Verdict::fail("that the test fails: one call of two has come", "it passes");
    failure.map(drop).ok_or_else(passed)
}

fn testkit_44(subject: &Subject) -> Checked {
    needs(subject, Capability::Server)?;
    needs(subject, Capability::Expectations)?;
    let routes = orders(&[OK], Some(2));
    let (got, failure) = serve(subject, &routes, async |server| statuses(&server, 2).await)?;
    equal("the statuses", got, vec![Some(200); 2])?;
    passes(failure)
}

fn testkit_45(subject: &Subject) -> Checked {
    needs(subject, Capability::Server)?;
    needs(subject, Capability::Records)?;
    let stock = Route { path: "/stock", replies: vec![OK], expected: None };
    let routes = [orders(&[OK], None).as_slice(), &[stock]].concat();
    let calls = [("POST", "/orders", "one"), ("GET", "/stock", ""), ("PUT", "/orders", "two")];
    let (got, failure) = serve(subject, &routes, async move |server| {
        for (method, path, body) in calls {
            let connection = server.connect().await;
            let _ = call(connection?, method, path, body).await;
        }
        Ok::<_, io::Error>(server.recorded().await)
    })?;
    let wanted = calls.map(|(method, path, body)| {
        let [method, path, body] = [method, path, body].map(str::to_owned);
        Recorded { method, path, body }
    });
    equal("the calls", got.map_err(|error| error.to_string()), Ok(wanted.to_vec()))?;
    passes(failure)
}

fn testkit_46(subject: &Subject) -> Checked {
    needs(subject, Capability::Server)?;
    needs(subject, Capability::Resets)?;
    let routes = orders(&[OK, Reply::Reset, BUSY], None);
    let (got, failure) = serve(subject, &routes, async |server| statuses(&server, 3).await)?;
    equal("the statuses", got, vec![Some(200), None, Some(503)])?;
    passes(failure)
}

fn testkit_47(subject: &Subject) -> Checked {
    needs(subject, Capability::Server)?;
    needs(subject, Capability::CutBodies)?;
    let routes = orders(&[Reply::CutBody("0123456789", 4)], None);
    let (got, failure) = serve(subject, &routes, async |server| get(&server, "/orders").await)?;
    let wanted = Answer { status: 200, body: b"0123".to_vec(), is_cut: true };
    equal("the answer", got.map_err(|error| error.to_string()), Ok(wanted))?;
    passes(failure)
}

fn testkit_48(subject: &Subject) -> Checked {
    needs(subject, Capability::Server)?;
    needs(subject, Capability::Latency)?;
    let (got, failure) = serve(subject, &orders(&[Reply::Late(ms(200))], None), async |server| {
        let start = Instant::now();
        let answer = get(&server, "/orders").await;
        (answer.ok().map(|answer| answer.status), start.elapsed())
    })?;
    equal("the status and its time", got, (Some(200), ms(200)))?;
    passes(failure)
}

fn testkit_49(subject: &Subject) -> Checked {
    needs(subject, Capability::Server)?;
    needs(subject, Capability::Latency)?;
    let (got, failure) = serve(subject, &orders(&[Reply::Late(ms(100))], None), async |server| {
        let start = Instant::now();
        let mut calls: Vec<Pin<Box<dyn Future<Output = Option<u16>>>>> = Vec::new();
        for _ in 0..10 {
            let server = server.clone();
            calls.push(Box::pin(
                async move { get(&server, "/orders").await.ok().map(|answer| answer.status) },
            ));
        }
        let mut statuses = Vec::new();
        poll_fn(|cx| {
            calls.retain_mut(|call| match call.as_mut().poll(cx) {
                Poll::Ready(status) => {
                    statuses.push(status);
                    false
                }
                Poll::Pending => true,
            });
            if calls.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        (statuses, start.elapsed())
    })?;
    equal("the statuses and their time", got, (vec![Some(200); 10], ms(100)))?;
    passes(failure)
}

/// Of a server in real time the thread may take a moment to end.
fn testkit_50(subject: &Subject) -> Checked {
    needs(subject, Capability::Server)?;
    let (got, _) = serve(subject, &orders(&[OK], None), async |server| {
        let mut statuses = vec![get(&server, "/orders").await.ok().map(|answer| answer.status)];
        server.end();
        for _ in 0..20 {
            tokio::time::sleep(ms(10)).await;
            statuses.push(get(&server, "/orders").await.ok().map(|answer| answer.status));
        }
        (statuses[0], statuses[20])
    })?;
    equal("the statuses before and after its end", got, (Some(200), None))
}
