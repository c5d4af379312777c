//! The call shapes that have to compile without annotations, wherever they are used.

use std::{pin::Pin, sync::Arc, time::Duration};

use evenkeel_shutdown::{BoxError, Guard, Handle, Report, Shutdown, Stop};
use evenkeel_testkit::World;

/// A server like axum's, which takes a future that stops it.
async fn serve(stop: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
    stop.await;
    Ok(())
}

async fn named(stop: Stop) -> Result<(), BoxError> {
    serve(stop.draining()).await?;
    Ok(())
}

fn program(shutdown: Shutdown) -> Shutdown {
    let (listener, name) = (String::from("listener"), String::from("worker-1"));
    shutdown
        .task("http", async move |stop| {
            drop(listener);
            serve(stop.draining()).await
        })
        .task(name, async |stop| {
            stop.draining().await;
            Ok::<_, BoxError>("the value is dropped")
        })
        .task("block", |stop| async move { stop.draining().await })
        .task("loop", async |stop| {
            stop.drain("all are here");
            loop {
                stop.aborting().await;
            }
        })
        .task("fn", named)
}

struct Pool;

impl Pool {
    async fn close(&self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn flush() {}

fn with_phases(shutdown: Shutdown, pool: Pool) -> Shutdown {
    let name = String::from("close");
    let handle = shutdown.handle();
    shutdown
        .grace(Duration::from_secs(20))
        .pre_stop(Duration::from_secs(1))
        .signals([2])
        .phase("accept")
        .task("http", async move |stop| {
            let _guard = handle.guard("request");
            let later = Arc::new(handle.clone());
            handle.spawn("later", async move |stop| {
                later.on_stop("last", flush).map_err(|_| "too late")?;
                later.stop_task("http", Duration::ZERO).await;
                later.stop().drain("enough");
                stop.draining().await;
                Ok::<_, BoxError>(())
            })?;
            serve(stop.draining()).await.map_err(BoxError::from)
        })
        .vital()
        .phase(name)
        .reserve(Duration::from_secs(2))
        .on_stop("pool", async move || pool.close().await)
        .on_stop("log", flush)
        .on_stop("block", || async { Err::<(), _>("not closed") })
}

#[test]
fn the_parts_can_be_sent_and_shared() {
    fn anywhere<T: Clone + Send + Sync + 'static>() {}
    fn sent<T: Send + Sync + 'static>() {}
    anywhere::<Handle>();
    sent::<Guard>();
    sent::<Report>();
    fn spawned<T: Send + 'static>(_: T) {}
    spawned(with_phases(Shutdown::manual().0, Pool));
    spawned(with_phases(Shutdown::manual().0, Pool).run());
}

trait Service {
    fn run(self: Box<Self>) -> Pin<Box<dyn Future<Output = Report> + Send>>;
}

impl Service for Shutdown {
    fn run(self: Box<Self>) -> Pin<Box<dyn Future<Output = Report> + Send>> {
        Box::pin(async move { program(*self).run().await })
    }
}

#[test]
fn in_a_spawned_task_and_a_boxed_future() {
    World::run(async |_| {
        let report = tokio::spawn(program(Shutdown::manual().0).run()).await.unwrap();
        assert_eq!((report.hung().count(), report.exit_code()), (1, 1));
        let (shutdown, stop) = Shutdown::manual();
        stop.abort("at once");
        let service: Box<dyn Service> = Box::new(shutdown);
        assert_eq!(service.run().await.tasks.len(), 5);
        let report = tokio::spawn(with_phases(Shutdown::manual().0, Pool).run()).await.unwrap();
        assert_eq!(report.tasks.len(), 6, "{report}");
    });
}
