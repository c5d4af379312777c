//! Requests that are dropped, or not polled any more.

use std::{cell::Cell, future::poll_fn, rc::Rc, task::Poll};

use evenkeel_testkit::cancel;
use tokio::time::sleep;

use super::waiting::queue;
use crate::{
    Rule,
    cuts::explored,
    duration::{ms, secs},
    limit::{
        Adapter, Capability, Request, Settings,
        trial::{Trial, needs},
    },
    rule::{Checked, rule},
};

pub(super) const RULES: &[Rule<dyn Adapter>] = &[
    rule!(Must "LIMIT-28" limit_28 "When somebody who waits gives up, those behind move up.").after("LIMIT-19"),
    rule!(Must "LIMIT-29" limit_29 "What was earned for a big request that gives up goes to those behind it.").after("LIMIT-19"),
    rule!(Must "LIMIT-30" alone limit_30 "A request dropped at any point has taken nothing.").after("LIMIT-19"),
    rule!(Must "LIMIT-31" limit_31 "Who waits and is not polled any more holds up nobody for longer than a turn.").after("LIMIT-19"),
];

async fn limit_28(subject: &dyn Adapter) -> Checked {
    let trial = Trial::start(subject, &Settings::rate(1, secs(1)).waiting())?;
    let _first = trial.spend(1).await?;
    let mut waiters = queue(&trial, 3).await;
    sleep(ms(500)).await;
    drop(waiters.remove(0));
    trial.everybody(waiters).await?;
    trial.turns_at("the first of three left", &[1, 2].map(secs))
}

async fn limit_29(subject: &dyn Adapter) -> Checked {
    needs(subject, Capability::Weights)?;
    let trial = Trial::start(subject, &Settings::rate(1, ms(100)).burst(10).waiting())?;
    let _all = trial.spend(10).await?;
    let big = trial.enter(9, Request::of(10)).await;
    let waiters = queue(&trial, 3).await;
    sleep(ms(550)).await;
    drop(big);
    trial.everybody(waiters).await?;
    trial.turns_at("three behind a request for 10, which leaves after 550ms,", &[ms(550); 3])
}

/// One request, wherever it is cut.
struct Cut {
    trial: Trial,
    granted: Cell<bool>,
}

/// One a second, and so large a burst that it never overflows here.
fn deep() -> Settings {
    Settings::rate(1, secs(1)).burst(100_000).waiting()
}

fn limit_30(subject: &dyn Adapter) -> Checked {
    for capability in [Capability::Weights, Capability::Mixed].into_iter().chain(deep().needs()) {
        needs(subject, capability)?;
    }
    let setup = async || {
        let trial = Trial::start(subject, &deep()).unwrap_or_else(|verdict| panic!("{verdict}"));
        let spent = trial.spend(100_000).await;
        spent.map_or_else(|verdict| panic!("{verdict}"), drop);
        Rc::new(Cut { trial, granted: Cell::new(false) })
    };
    let request = async |cut: Rc<Cut>| {
        let permit = cut.trial.unpolled(Request::of(1)).await;
        cut.granted.set(permit.is_ok());
    };
    let check = async |cut: Rc<Cut>| {
        let earned = cut.trial.record.elapsed().as_secs() as u32 - u32::from(cut.granted.get());
        assert!(cut.trial.ask(Request::of(earned)).is_ok(), "less than was earned");
        assert!(cut.trial.ask(Request::of(1)).is_err(), "more than was earned");
    };
    explored(|| cancel::every_point(setup, request, check))
}

async fn limit_31(subject: &dyn Adapter) -> Checked {
    let trial = Trial::start(subject, &Settings::rate(1, secs(1)).waiting())?;
    let _first = trial.spend(1).await?;
    let mut idle = trial.unpolled(Request::of(1));
    poll_fn(|cx| Poll::Ready(idle.as_mut().poll(cx).is_pending())).await;
    trial.everybody(queue(&trial, 2).await).await?;
    let turns = trial.record.turns();
    trial.record.require(
        turns.iter().zip([2, 3]).all(|(turn, latest)| *turn <= secs(latest)),
        || "turns at 2s and at 3s, behind somebody who is not polled any more".to_owned(),
        || format!("at {turns:?}"),
    )
}
