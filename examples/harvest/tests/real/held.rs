//! An API that a test holds in the middle of its work.

use tokio::{process::Child, sync::watch};

use crate::{
    place::Place,
    server::{Server, document, page},
};

/// An API of ten users whose next page never comes, and whose documents wait for the test's word.
pub(crate) struct Held {
    server: Server,
    /// Documents asked for so far.
    asked: watch::Sender<usize>,
    /// Users up to this id have their documents.
    pub(crate) released: watch::Sender<u64>,
}

impl Held {
    pub(crate) async fn start() -> Self {
        let (asked, released) = (watch::Sender::new(0), watch::Sender::new(0));
        let (count, until) = (asked.clone(), released.clone());
        let server = Server::start(move |path| {
            let (count, mut until) = (count.clone(), until.subscribe());
            async move {
                match path.as_str() {
                    "/users.json" => page(1..=10, Some("users-2.json")),
                    "/users-2.json" => std::future::pending().await,
                    path => {
                        count.send_modify(|asked| *asked += 1);
                        let id: u64 = path.split('/').nth(2).unwrap().parse().unwrap();
                        until.wait_for(|released| *released >= id).await.unwrap();
                        document(path)
                    }
                }
            }
        });
        Self { server: server.await, asked, released }
    }

    pub(crate) fn base(&self) -> &str {
        &self.server.base
    }

    /// Starts a run, and waits until it has asked for this many documents.
    pub(crate) async fn harvest(&self, place: &Place, flags: &str, asked: usize) -> Child {
        let child = place.harvest(&format!("--url {} {flags}", self.base())).spawn().unwrap();
        self.asked.subscribe().wait_for(|so_far| *so_far >= asked).await.unwrap();
        child
    }
}
