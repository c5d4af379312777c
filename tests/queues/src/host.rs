//! A worker in a runtime of its own: dropping it ends all that it has spawned, as a kill of its process does.

use std::time::Duration;

use evenkeel_tck::{
    AdapterError, BoxFuture,
    pipeline::{End, Worker},
};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

use crate::servers::TcpLine;

pub(crate) struct Host {
    /// Its drop ends all tasks of the worker.
    pub(crate) _runtime: Own,
    pub(crate) task: JoinHandle<Result<(), String>>,
    pub(crate) line: TcpLine,
    /// Deletes the queue behind it.
    pub(crate) delete: Box<dyn Fn() -> BoxFuture<'static, ()> + Send>,
    /// Pauses and resumes it, if it can be.
    pub(crate) pause: Box<dyn Fn(bool) + Send>,
}

/// A runtime whose tasks end with it.
pub(crate) struct Own(Option<Runtime>);

impl Own {
    pub(crate) fn new() -> Result<Self, AdapterError> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.map(|runtime| Self(Some(runtime))).map_err(|error| AdapterError::Refused(error.to_string()))
    }

    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let runtime = self.0.as_ref().unwrap_or_else(|| unreachable!("it is there until the drop"));
        runtime.spawn(task)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Worker for Host {
    fn finish(mut self: Box<Self>) -> BoxFuture<'static, End> {
        Box::pin(async move {
            let error = match (&mut self.task).await {
                Ok(ended) => ended.err(),
                Err(error) => Some(error.to_string()),
            };
            End { error, ..End::default() }
        })
    }

    fn pause(&self) {
        (self.pause)(true);
    }

    fn resume(&self) {
        (self.pause)(false);
    }

    fn cut(&self, time: Duration) {
        self.line.cut(time);
    }

    fn lose_answers(&self, time: Duration) {
        self.line.lose_answers(time);
    }

    fn delete(&self, _: usize) -> BoxFuture<'_, ()> {
        (self.delete)()
    }
}
