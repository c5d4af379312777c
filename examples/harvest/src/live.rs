//! The live page of a run: what is in flight, how fast, and what holds it up, now.
//!
//! | file | contents |
//! |---|---|
//! | `live/http.rs`, `live/write_timeout.rs` | the server: paths, bounds, readers that take nothing |
//! | `live/html.rs`, `live/style.css`, `live/script.js` | the page |
//! | `live/run.rs` | the views of a run |

mod html;
mod http;
mod run;
mod write_timeout;

pub(crate) use run::{LiveRun, Numbers, OwnNumbers};

use std::{
    collections::VecDeque,
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use command_line::Address;
use http::{Bounds, Rendered};
use serde::Serialize;
use tokio::{net, sync::watch};

use crate::{
    board::{self, Condition, Workers, clean_text},
    error::Fatal,
    report::Ended,
    stats::{Failure, Stats},
    store::Totals,
    workers::Sums,
};

/// The time between two views.
pub(crate) const PERIOD: Duration = Duration::from_secs(1);

/// The number of views of which the page shows the rate.
const HISTORY: usize = 120;

/// The maximum number of workers and of failures that are shown.
const MAX_ROWS: usize = 100;

/// The connections of the page's readers at a time.
pub(crate) const MAX_CONNECTIONS: usize = 32;

const BOUNDS: Bounds = Bounds {
    connections: MAX_CONNECTIONS,
    streams: 24,
    timeout: Duration::from_secs(10),
    linger: Duration::from_millis(500),
    buffer: 64 << 10,
};

/// The names of a run, which do not change.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Names {
    /// The API that is read.
    pub(crate) source: String,
    pub(crate) store: String,
    pub(crate) queue: Option<String>,
}

/// Everything that the page shows at one time.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct View {
    #[serde(flatten)]
    pub(crate) names: Names,
    /// How the run ended, once it has.
    pub(crate) ended: Option<Ended>,
    pub(crate) is_stopping: bool,
    /// The time since the start of the run.
    pub(crate) seconds: f64,
    pub(crate) totals: Totals,
    /// The sums over all workers.
    pub(crate) sums: Sums,
    #[serde(flatten)]
    pub(crate) board: Workers,
    /// The last documents that could not be read, the newest at the end, and the number of all.
    pub(crate) failures: Vec<Failure>,
    pub(crate) failures_in_all: usize,
    /// The documents stored per second, in each of the last seconds.
    pub(crate) rates: Vec<f64>,
}

impl View {
    /// Returns the view of a run that goes on.
    pub(crate) fn new(names: Names, stats: &Stats, board: Workers, seconds: f64) -> Self {
        let sums = Sums::of(&board);
        stats.with(|counts| {
            let of = counts.failures.len();
            let failures = counts.failures[of.saturating_sub(MAX_ROWS)..].to_vec();
            Self {
                names,
                seconds,
                totals: counts.totals,
                sums,
                board,
                failures,
                failures_in_all: of,
                ..Self::default()
            }
        })
    }

    /// Keeps the workers that are alive before the others, and cuts lists and texts, which others write.
    fn bound(&mut self) {
        let now = self.board.now;
        let workers = &mut self.board.workers;
        workers.sort_by_key(|worker| !Condition::of(worker, now).is_alive());
        workers.truncate(MAX_ROWS);
        board::clean(&mut self.board);
        let sums = &mut self.sums;
        sums.stages.iter_mut().map(|stage| &mut stage.name).chain(&mut sums.bottleneck).for_each(clean_text);
        let texts = self.failures.iter_mut().flat_map(|failure| [&mut failure.url, &mut failure.reason]);
        texts.for_each(clean_text);
    }
}

/// The live page, at its address. It is served by [`serve`](Self::serve).
#[derive(Debug)]
pub(crate) struct Page {
    listener: TcpListener,
    address: SocketAddr,
}

impl Page {
    /// Listens at an address; the connections wait until the page is served.
    pub(crate) fn bind(address: Address) -> Result<Self, Fatal> {
        let bind = || {
            let listener = TcpListener::bind(address.0)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        };
        bind()
            .map_err(|error: io::Error| Fatal::Input(format!("cannot show a page at {}: {error}", address.0)))
    }

    /// Returns a line with the URL, and who can read it.
    pub(crate) fn announcement(&self) -> String {
        let open =
            if self.address.ip().is_loopback() { "" } else { ", open to everybody who reaches this address" };
        format!("live page: http://{}/{open}", self.address)
    }

    /// Serves each view until their sender is dropped, and the last one to the readers that are connected then.
    ///
    /// # Errors
    ///
    /// The system takes the listener back, which it does not.
    pub(crate) async fn serve(self, mut views: watch::Receiver<View>) -> Result<(), Fatal> {
        let listener = net::TcpListener::from_std(self.listener)
            .map_err(|error| Fatal::Broken(format!("cannot serve the page: {error}")))?;
        let mut rates = VecDeque::new();
        let mut render = |mut view: View| {
            if rates.len() == HISTORY {
                rates.pop_front();
            }
            rates.push_back(view.sums.rate);
            view.rates = rates.iter().copied().collect();
            rendered(view)
        };
        let first = views.borrow_and_update().clone();
        let (sender, pages) = watch::channel(render(first));
        let update = async move {
            while views.changed().await.is_ok() {
                let view = views.borrow_and_update().clone();
                sender.send_replace(render(view));
            }
            drop(sender);
        };
        tokio::join!(http::serve(listener, pages, BOUNDS), update);
        Ok(())
    }
}

/// Renders a view for all readers.
fn rendered(mut view: View) -> Rendered {
    view.bound();
    let fragment = html::fragment(&view);
    let json = serde_json::to_vec(&view).expect("numbers, texts and lists of them are JSON");
    Rendered { event: http::event("state", &fragment), fragment: fragment.into(), json: json.into() }
}
