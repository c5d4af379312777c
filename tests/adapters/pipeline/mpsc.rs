//! A loop over tokio's channel, with the work on each message in a `JoinSet`.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture,
    pipeline::{Capability, End, Item, Queue, Settings, Shape, Work, WorkItem, Worker},
};
use tokio::{
    sync::{Mutex as AsyncMutex, mpsc},
    task::{JoinHandle, JoinSet},
    time::timeout,
};

use crate::adapters::Peer;

/// The reason of a channel that knows no ack.
const NO_ACK: &str = "a message leaves the channel when it is received, whatever becomes of the work on it";

pub(super) const PEER: Peer<Settings> = Peer {
    name: "mpsc",
    package: "tokio",
    docs: "https://docs.rs/tokio/1.54.1/tokio/sync/mpsc/index.html",
    adapter: &Channel,
    isolated: &[],
    fails: &[
        ("PIPELINE-02", NO_ACK),
        ("PIPELINE-03", NO_ACK),
        ("PIPELINE-05", NO_ACK),
        ("PIPELINE-06", NO_ACK),
        ("PIPELINE-07", NO_ACK),
        ("PIPELINE-10", NO_ACK),
        ("PIPELINE-18", NO_ACK),
        ("PIPELINE-56", NO_ACK),
        ("PIPELINE-57", NO_ACK),
        ("PIPELINE-73", NO_ACK),
    ],
};

struct Channel;

impl Adapter<Settings> for Channel {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Capacity
            | Capability::Close
            | Capability::Filter
            | Capability::Split
            | Capability::Timeout => Ok(()),
            _ => Err("there is no such thing"),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn Queue>, AdapterError> {
        let (sender, receiver) = mpsc::channel(settings.capacity.unwrap_or(10_000));
        Ok(Box::new(Messages {
            sender: Mutex::new(Some(sender)),
            receiver: Arc::new(AsyncMutex::new(receiver)),
            stored: Arc::default(),
            settings: settings.clone(),
        }))
    }
}

struct Messages {
    sender: Mutex<Option<mpsc::Sender<Item>>>,
    receiver: Arc<AsyncMutex<mpsc::Receiver<Item>>>,
    stored: Arc<AtomicUsize>,
    settings: Settings,
}

impl Queue for Messages {
    fn publish(&self, item: Item) -> BoxFuture<'_, ()> {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let sender = sender.unwrap_or_else(|| panic!("the queue is closed"));
        Box::pin(async move {
            let permit = sender.reserve().await.unwrap_or_else(|error| panic!("{error}"));
            self.stored.fetch_add(1, Relaxed);
            permit.send(item);
        })
    }

    fn close(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn start(&self, work: Work) -> BoxFuture<'_, Result<Box<dyn Worker>, AdapterError>> {
        let (receiver, stored) = (Arc::clone(&self.receiver), Arc::clone(&self.stored));
        let Settings { window, shape, timeout, .. } = self.settings;
        let work_loop = async move {
            let mut tasks = JoinSet::new();
            loop {
                if tasks.len() == window {
                    tasks.join_next().await;
                }
                let item = async { receiver.lock().await.recv().await };
                tokio::select! {
                    item = item => {
                        let Some(item) = item else { break };
                        stored.fetch_sub(1, Relaxed);
                        tasks.spawn(run(work.clone(), item, shape, timeout));
                    }
                    Some(_) = tasks.join_next() => {}
                }
            }
            while tasks.join_next().await.is_some() {}
        };
        Box::pin(async { Ok(Box::new(Loop(tokio::spawn(work_loop))) as Box<dyn Worker>) })
    }

    fn stored(&self) -> BoxFuture<'_, usize> {
        Box::pin(async { self.stored.load(Relaxed) })
    }
}

async fn run(work: Work, item: Item, shape: Shape, limit: Option<Duration>) {
    let items = match shape {
        Shape::Filter if !work.keeps(&item) => Vec::new(),
        Shape::Split => work.parts(item),
        _ => vec![item],
    };
    let mut parts = JoinSet::new();
    for item in items {
        let work = work.clone();
        parts.spawn(async move {
            let run = work.run(WorkItem { id: item.number.to_string(), attempt: 1, item });
            timeout(limit.unwrap_or(Duration::MAX), run).await
        });
    }
    parts.join_all().await;
}

struct Loop(JoinHandle<()>);

impl Worker for Loop {
    fn finish(mut self: Box<Self>) -> BoxFuture<'static, End> {
        Box::pin(async move {
            let end = (&mut self.0).await;
            End { error: end.err().map(|error| error.to_string()), ..End::default() }
        })
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
