//! The call shapes that have to compile without annotations, wherever they are used.

use std::pin::Pin;

use evenkeel_shutdown::{BoxError, Report, Shutdown, Stop};
use evenkeel_testkit::World;

/// A server as axum's, which takes a future to stop by.
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
    });
}
