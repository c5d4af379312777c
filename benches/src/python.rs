//! The peers in Python, if an interpreter with their packages was named.

use std::{
    env, io,
    process::{Command, Stdio},
    time::Duration,
};

use serde::Deserialize;

use crate::measure::Sample;

/// The variable that names an interpreter with aiohttp, httpx and asyncpg; `cargo xtask bench --python` makes one.
const VARIABLE: &str = "EVENKEEL_BENCH_PYTHON";

/// Whether an interpreter was named.
///
/// # Errors
///
/// If it does not start, is older than 3.11, or lacks a package.
pub(crate) fn is_named() -> io::Result<bool> {
    let Some(python) = named() else { return Ok(false) };
    script("import asyncio, aiohttp, asyncpg, httpx; asyncio.TaskGroup", &[]).map(|_| true).map_err(|error| {
        io::Error::other(format!(
            "{VARIABLE}={python}: {error}; Python 3.11 with aiohttp, httpx and asyncpg is needed"
        ))
    })
}

fn named() -> Option<String> {
    env::var(VARIABLE).ok().filter(|path| !path.is_empty())
}

#[derive(Deserialize)]
struct Cost {
    wall: f64,
    cpu: f64,
}

/// Runs the calls in a process of their own, which measures itself without its start.
pub(crate) fn calls(client: &str, url: &str, count: u64, limit: usize) -> io::Result<Sample> {
    let text = include_str!("../python/calls.py");
    sample(&script(text, &[client, url, &count.to_string(), &limit.to_string()])?)
}

/// Copies rows into the table of the benchmarks, in a process of its own; `server` is its host, port, user and database.
pub(crate) fn copy_records(count: u64, server: [&str; 4]) -> io::Result<Sample> {
    let [host, port, user, database] = server;
    let text = include_str!("../python/copy_records.py");
    sample(&script(text, &[&count.to_string(), host, port, user, database])?)
}

/// Reads what a program of peers has printed about a run.
pub(crate) fn sample(output: &str) -> io::Result<Sample> {
    let cost: Cost = serde_json::from_str(output)?;
    let (wall, cpu) = (Duration::from_secs_f64(cost.wall), Duration::from_secs_f64(cost.cpu));
    Ok(Sample { wall, cpu, ..Sample::default() })
}

/// Returns the bytes of memory of a waiting task.
pub(crate) fn pending(count: u64) -> io::Result<Sample> {
    let output = script(include_str!("../python/pending.py"), &[&count.to_string()])?;
    let each: f64 = output.trim().parse().map_err(io::Error::other)?;
    Ok(Sample { bytes: (each * count as f64) as i64, ..Sample::default() })
}

pub(crate) fn script(text: &str, arguments: &[&str]) -> io::Result<String> {
    let python = named().ok_or_else(|| io::Error::other(format!("{VARIABLE} names no interpreter")))?;
    let output =
        Command::new(&python).arg("-c").arg(text).args(arguments).stderr(Stdio::inherit()).output()?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(io::Error::other(format!("{python} ended with {}", output.status))),
    }
}
