//! Runs the rules of pipelines on one other queue, in real time, and tells the verdicts.
//!
//! `cargo xtask conformance --queues` builds it, and the scoreboard starts it once for each peer. A rule whose failure is known, and
//! named on the command line, is not tried until it holds.

mod apalis_postgres;
mod database;
mod graphile_worker;
mod host;
mod ruststream;
#[path = "../../adapters/pipeline/servers/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the adapters of the scoreboard use all of it")]
mod servers;
mod work;

use std::{env, error::Error, process::ExitCode, sync::Arc};

use evenkeel_tck::{
    Adapter, Rule, child,
    pipeline::{self, Settings},
};
use tokio::runtime::Builder;

use crate::servers::{Cluster, Nats};

/// Rules that wait for servers and clocks more than they compute.
const AT_A_TIME: usize = 12;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [peer, url, wanted, known] = &*arguments else {
        return Err("usage: evenkeel-conformance-queues PEER URL RULE,...|all RULE,...|none".into());
    };
    let tries = |rule: &Rule<Settings>| match () {
        () if wanted != "all" && !wanted.split(',').any(|id| id == rule.id) => 0,
        () if known.split(',').any(|id| id == rule.id) => 1,
        () => 3,
    };
    let adapter = open(peer, url)?;
    child::report_all(&pipeline::run_in_real_time(&*adapter, AT_A_TIME, tries))?;
    Ok(())
}

fn open(peer: &str, url: &str) -> Result<Box<dyn Adapter<Settings>>, Box<dyn Error>> {
    let postgres = || -> Result<_, Box<dyn Error>> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Arc::new(runtime.block_on(Cluster::like(url))?))
    };
    Ok(match peer {
        "apalis" => Box::new(apalis_postgres::Apalis { server: postgres()? }),
        "graphile_worker" => Box::new(graphile_worker::Graphile { server: postgres()? }),
        "ruststream" => Box::new(ruststream::RustStreams { server: Arc::new(Nats::like(url)?) }),
        other => return Err(format!("there is no peer {other}").into()),
    })
}
