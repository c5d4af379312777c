//! Requests that are dropped, or not polled any more.

use std::{cell::Cell, future::poll_fn, rc::Rc, task::Poll};

use evenkeel_testkit::cancel;

use super::{
    prelude::*,
    waiting::{queue, spent},
};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "LIMIT-28" limit_28 "When a waiter gives up, the waiters behind it move up.").needs(Needs::CANCEL).after("LIMIT-19"),
    rule!(Must "LIMIT-29" limit_29 "Permits earned for a big request that gives up go to the requests behind it.").needs(Needs::CANCEL).after("LIMIT-19"),
    rule!(Must "LIMIT-30" alone limit_30 "A request dropped at any point has taken nothing.").needs(Needs::POLLS).after("LIMIT-19"),
    rule!(Must "LIMIT-31" limit_31 "A waiter that is not polled any more holds up the others for no longer than a turn.").needs(Needs::POLLS).after("LIMIT-19"),
];

async fn limit_28(subject: &Subject) -> Checked {
    let harness = spent(subject, Settings::rate(1, secs(1))).await?;
    let mut waiters = queue(&harness, 3).await;
    sleep(ms(500)).await;
    drop(waiters.remove(0));
    harness.everybody(waiters).await?;
    harness.turns_at("the first of three left", &[1, 2].map(secs))
}

async fn limit_29(subject: &Subject) -> Checked {
    needs(subject, Capability::Weights)?;
    let harness = Harness::start(subject, &Settings::rate(1, ms(100)).burst(10).waiting())?;
    let _all = harness.spend(10).await?;
    let big = harness.enter(9, Request::of(10)).await;
    let waiters = queue(&harness, 3).await;
    sleep(ms(550)).await;
    drop(big);
    harness.everybody(waiters).await?;
    harness.turns_at("three behind a request for 10, which leaves after 550ms,", &[ms(550); 3])
}

/// The state of one request that is dropped at each await point.
struct Cut {
    harness: Harness,
    granted: Cell<bool>,
}

/// One permit a second, with a burst that is too large to be reached here.
fn deep() -> Settings {
    Settings::rate(1, secs(1)).burst(100_000).waiting()
}

fn limit_30(subject: &Subject) -> Checked {
    needs(subject, Capability::Weights)?;
    needs(subject, Capability::Mixed)?;
    needs_all(subject, &deep())?;
    let setup = async || {
        let harness = Harness::start(subject, &deep()).unwrap_or_else(|verdict| panic!("{verdict}"));
        let spent = harness.spend(100_000).await;
        spent.map_or_else(|verdict| panic!("{verdict}"), drop);
        Rc::new(Cut { harness, granted: Cell::new(false) })
    };
    let request = async |cut: Rc<Cut>| {
        let permit = cut.harness.unpolled(Request::of(1)).await;
        cut.granted.set(permit.is_ok());
    };
    let check = async |cut: Rc<Cut>| {
        let earned = cut.harness.elapsed().as_secs() as u32 - u32::from(cut.granted.get());
        assert!(cut.harness.ask(Request::of(earned)).is_ok(), "less than was earned");
        assert!(cut.harness.ask(Request::of(1)).is_err(), "more than was earned");
    };
    explored(|| cancel::every_point(setup, request, check))
}

async fn limit_31(subject: &Subject) -> Checked {
    let harness = spent(subject, Settings::rate(1, secs(1))).await?;
    let mut idle = harness.unpolled(Request::of(1));
    poll_fn(|cx| Poll::Ready(idle.as_mut().poll(cx).is_pending())).await;
    harness.everybody(queue(&harness, 2).await).await?;
    let turns = harness.turns();
    harness.require(
        turns.iter().zip([2, 3]).all(|(turn, latest)| *turn <= secs(latest)),
        "turns at 2s and at 3s, behind somebody who is not polled any more",
        format_args!("at {turns:?}"),
    )
}
