//! The words that the rules of every pattern share.

pub(crate) use std::time::Duration;

pub(crate) use tokio::{
    runtime::Builder,
    time::{Instant, advance, sleep, timeout},
};

pub(crate) use crate::{
    Rule, Verdict,
    cancel::explored,
    duration::{ms, secs},
    rule::{Checked, panic_message, rule, runtime},
    subject::{configure, has, needs, unless_refused},
};
