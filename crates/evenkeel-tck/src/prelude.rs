//! The words that the rules of every pattern share.

pub(crate) use std::time::Duration;

pub(crate) use tokio::{
    runtime::Builder,
    time::{Instant, advance, sleep, timeout},
};

pub(crate) use crate::{
    Configured, Rule, Verdict,
    adapter::{configure, has, needs, needs_all, unless_refused},
    cancel::{explored, leaves_no_task},
    duration::{ms, secs},
    rule::{panic_message, rule},
    runtime::{beside, runtime},
    verdict::Checked,
};
