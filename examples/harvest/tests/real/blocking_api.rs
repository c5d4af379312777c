//! An API whose answers wait for the test.

use tokio::{process::Child, sync::watch};

use crate::{
    server::{Server, document, page},
    workdir::Workdir,
};

/// An API of ten users whose next page never answers, and whose documents wait until the test releases them.
pub(crate) struct BlockingApi {
    server: Server,
    /// The documents requested so far.
    asked: watch::Sender<usize>,
    /// The documents of users up to this id are released.
    pub(crate) released: watch::Sender<u64>,
}

impl BlockingApi {
    pub(crate) async fn start() -> Self {
        Self::with_next(Some("users-2.json")).await
    }

    /// Starts one that has no other page.
    pub(crate) async fn of_one_page() -> Self {
        Self::with_next(None).await
    }

    async fn with_next(next: Option<&'static str>) -> Self {
        let (asked, released) = (watch::Sender::new(0), watch::Sender::new(0));
        let (count, until) = (asked.clone(), released.clone());
        let server = Server::start(move |path| {
            let (count, mut until) = (count.clone(), until.subscribe());
            async move {
                match path.as_str() {
                    "/users.json" => page(1..=10, next),
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

    /// Starts a run, and waits until it has requested this number of documents.
    pub(crate) async fn harvest(&self, workdir: &Workdir, flags: &str, asked: usize) -> Child {
        let child = workdir.harvest(&format!("--url {} {flags}", self.base())).spawn().unwrap();
        self.asked.subscribe().wait_for(|so_far| *so_far >= asked).await.unwrap();
        child
    }
}
