//! The words that the rules of every pattern share.

pub(crate) use std::time::Duration;

pub(crate) use tokio::{
    runtime::Builder,
    time::{Instant, advance},
};

pub(crate) use crate::{
    Configured, Rule, Verdict,
    adapter::{configurable, configure, configure_on, has, needs, needs_all, unless_refused},
    agenda::{sleep, timeout},
    cancel::{explored, leaves_no_task},
    duration::{ms, secs},
    rule::{Needs, panic_message, rule},
    runtime::{beside, runtime},
    verdict::Checked,
};
