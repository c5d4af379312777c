//! Stores documents: those that come while a transaction is under way are the next one.

use std::sync::Arc;

use evenkeel::task::Stop;
use tokio::sync::{mpsc, oneshot};

use super::worker::Shared;
use crate::{api::Fetched, error::Fatal, store::Entry};

/// The maximum number of documents in one transaction.
const BATCH: usize = 256;

/// A document that is to be stored, and where to say that it is.
pub(super) type Write = (Fetched, oneshot::Sender<Result<(), String>>);

/// Stores what comes until `end` drains.
pub(super) async fn write_all(shared: Arc<Shared>, mut documents: mpsc::Receiver<Write>, end: Stop) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            _ = documents.recv_many(&mut batch, BATCH) => {}
            () = end.draining() => return,
        }
        let (fetched, answers): (Vec<Fetched>, Vec<_>) = batch.drain(..).unzip();
        for failure in fetched.iter().flat_map(|fetched| fetched.failures.clone()) {
            shared.stats.list(failure);
        }
        let result = match shared.store.write(Entry::Batch(fetched)).await {
            Ok(written) => {
                shared.stored(&written);
                Ok(())
            }
            Err(error) if error.is_transient => Err(error.to_string()),
            // The documents are handed back when the pipeline ends.
            Err(error) => {
                shared.fail(Fatal::from(error));
                continue;
            }
        };
        for answer in answers {
            // The work of one that was dropped is stored all the same.
            let _ = answer.send(result.clone());
        }
    }
}
