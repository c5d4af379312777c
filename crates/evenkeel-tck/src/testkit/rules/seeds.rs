//! Random delays that a seed decides.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::prelude::*;
use crate::testkit::{
    Connector,
    alone::{FAILS_WITH_A_SEED, FAILURE, SEED, run_in_child},
};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "TESTKIT-51" alone testkit_51 "The same seed gives the same times.").needs(Needs::BESIDE),
    rule!(Must "TESTKIT-52" alone testkit_52 "Another seed gives others.").needs(Needs::BESIDE),
    rule!(Should "TESTKIT-53" threads testkit_53 "A test that fails tells its seed."),
];

/// The times of twenty bytes, each there and back before the next one is sent.
fn times(subject: &Subject, seed: u64) -> Checked<Vec<Duration>> {
    needs(subject, Capability::Seeds)?;
    let kit = configure(subject, &Settings { lasts: secs(60), ..Settings::default() })?;
    let times = simulate(&*kit, seed, async |connect: Connector| -> io::Result<Vec<Duration>> {
        let mut connection = connect().await?;
        let (start, mut times) = (Instant::now(), Vec::new());
        for _ in 0..20 {
            connection.write_all(&[7]).await?;
            connection.read_exact(&mut [0]).await?;
            times.push(start.elapsed());
        }
        Ok(times)
    })?;
    times.map_err(|error| Verdict::fail("that the bytes come back", error))
}

fn testkit_51(subject: &Subject) -> Checked {
    let (one, other) = (times(subject, 7)?, times(subject, 7)?);
    if one == other {
        return Ok(());
    }
    Err(Verdict::fail(format_args!("the same times, {one:?}"), format_args!("{other:?}")))
}

fn testkit_52(subject: &Subject) -> Checked {
    let (one, other) = (times(subject, 7)?, times(subject, 8)?);
    if one != other {
        return Ok(());
    }
    Err(Verdict::fail("other times with another seed", format_args!("{one:?} with both")))
}

fn testkit_53(subject: &Subject) -> Checked {
    needs(subject, Capability::Seeds)?;
    match run_in_child(subject, FAILS_WITH_A_SEED)? {
        Some((false, told)) if !told.contains(FAILURE) => {
            Err(Verdict::fail("that the test runs to its failure", "it ends before"))
        }
        Some((false, told)) if told.contains(&SEED.to_string()) => Ok(()),
        Some((false, _)) => {
            Err(Verdict::fail(format_args!("the seed {SEED} among its errors"), "it is not there"))
        }
        Some((true, _)) => Err(Verdict::fail("that the test fails", "it passes")),
        None => Err(Verdict::fail("that the test ends", "it goes on")),
    }
}
