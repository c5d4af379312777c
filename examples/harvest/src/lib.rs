//! Reads a paginated HTTP API, enriches every user on it with two more calls, and stores all of it in a database.
//!
//! This is the work that the crates exist for, in one program: [`main`], and [`main_with_https`] for builds with TLS. What it needs of the world is a parameter of
//! [`Harvester::open`], so that a simulation runs the same code over a network in memory, in virtual time. Start reading at
//! `run.rs`.

// file                     | contents
// program.rs               | the program: from the flags to the report
// harvester.rs             | the client, the store and the counts of one process, and its harvest
// run.rs, pages.rs         | the job: pages, users, batches, and how it stops; how a page is read
// queue.rs, queue/         | the same job as jobs of a queue, for several processes
// api.rs, api/, quota.rs   | the client: rate, calls in flight, retries, and which of them is around which; one rate for all processes
// transport.rs             | one request and its answer
// error.rs                 | the errors of a call, and whether another attempt is worth it; the errors that end the run
// store.rs, store/         | the database: the rows, and the progress of the run
// stats.rs, progress.rs, report.rs, lower_bound.rs, histogram.rs | the counts of the run, during it and at its end
// echo.rs                  | the echo of the terminal, which would spoil the bars
// board.rs                 | the numbers of each process of a harvest, for all of them
// supervisor.rs, supervisor/ | several workers as processes: started, shown and reported on together
// workers.rs, live.rs, live/ | these numbers added up, and the live page that shows them
// timeline.rs, timeline/, page.rs, page/ | the recording of a run over time, and the page that shows it
// server.rs, server/       | an embedded server of such an API, with faults
// json.rs, model.rs        | the documents, split into records
// link.rs                  | which links and redirects are followed
// dumps.rs                 | which task waits for what, for people who want to know
// cli.rs, out.rs, process.rs | the flags, the lines that are printed, the limits and memory of the process

mod api;
mod board;
mod cli;
mod dumps;
mod echo;
mod error;
mod harvester;
mod histogram;
mod json;
mod link;
mod live;
mod lower_bound;
mod model;
mod out;
mod page;
mod pages;
mod process;
mod program;
mod progress;
mod queue;
mod quota;
mod report;
mod run;
mod server;
mod stats;
mod store;
#[cfg(feature = "queue")]
mod supervisor;
mod timeline;
mod transport;
mod workers;

pub use reqwest::Url;

pub use crate::{
    error::Fatal,
    harvester::{Harvester, Setup, Usage},
    program::{main, main_with_https},
    quota::Quota,
    report::{Ended, Report},
    store::{Connect, Location},
    transport::{Body, Response, Transport, TransportError},
};
