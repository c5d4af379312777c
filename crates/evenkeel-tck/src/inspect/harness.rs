//! Runs one program under the observer, and reads its views.

use std::{future::pending, sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::sleep};

use super::{Inspectable, Settings, Shared, SharedKind, Site, Spawned, StandStillKind, Tasks, View};
use crate::{Adapter, BoxFuture, Verdict, adapter::configure, verdict::Checked};

/// A program that runs.
pub(crate) struct Scene {
    pub(crate) program: Arc<dyn Inspectable>,
    tasks: Arc<dyn Tasks>,
}

/// Runs a program with this body, and returns its output.
pub(crate) async fn run_scene<T, Fut>(
    subject: &dyn Adapter<Settings>,
    settings: &Settings,
    body: impl FnOnce(Scene) -> Fut + Send + 'static,
) -> Checked<T>
where
    T: Send + 'static,
    Fut: Future<Output = T> + Send + 'static,
{
    run_program(configure(subject, settings)?, body).await
}

/// Runs this program with this body, and returns its output.
pub(crate) async fn run_program<T, Fut>(
    program: Arc<dyn Inspectable>,
    body: impl FnOnce(Scene) -> Fut + Send + 'static,
) -> Checked<T>
where
    T: Send + 'static,
    Fut: Future<Output = T> + Send + 'static,
{
    let (tell, told) = oneshot::channel();
    let within = program.clone();
    let body = move |tasks| -> BoxFuture<'static, ()> {
        let output = body(Scene { program: within, tasks });
        Box::pin(async move {
            let _ = tell.send(output.await);
        })
    };
    program.run(Box::new(body)).await;
    told.await.map_err(|_| Verdict::fail("that the body of the program runs to its end", "it did not"))
}

impl Scene {
    pub(crate) fn pool(&self, name: &'static str, units: usize) -> Arc<dyn Shared> {
        self.program.resource(SharedKind::Pool, name, units)
    }

    pub(crate) fn spawn(
        &self,
        name: &str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Box<dyn Spawned> {
        self.tasks.spawn(name.to_owned(), Box::pin(task))
    }

    /// Spawns a task that takes `outer`, and a second later, while it has it, `inner` for good.
    pub(crate) fn spawn_nested(
        &self,
        name: &str,
        outer: &Arc<dyn Shared>,
        inner: &Arc<dyn Shared>,
    ) -> Nested {
        let sites = [Site::new(0), Site::new(1)];
        let (inner, at) = (inner.clone(), sites[1].clone());
        let inside = async move {
            sleep(Duration::from_secs(1)).await;
            inner.hold(at, Box::pin(pending())).await;
        };
        let task = self.spawn(name, outer.hold(sites[0].clone(), Box::pin(inside)));
        Nested { task, sites }
    }

    /// Spawns tasks.
    pub(crate) fn tasks(&self) -> Arc<dyn Tasks> {
        self.tasks.clone()
    }

    pub(crate) async fn look_after(&self, time: Duration) -> View {
        sleep(time).await;
        self.program.look()
    }
}

/// A task that takes two resources, and the sites at which it does.
pub(crate) struct Nested {
    pub(crate) task: Box<dyn Spawned>,
    pub(crate) sites: [Site; 2],
}

impl View {
    /// Asks for a finding of this kind whose text has each of these.
    pub(crate) fn tells(&self, kind: StandStillKind, words: &[&str]) -> Checked {
        let tells = |text: &str| words.iter().all(|word| text.contains(word));
        match self.findings.iter().any(|found| found.kind == kind && tells(&found.text)) {
            true => Ok(()),
            false => Err(self.fail(format!("a finding of the kind {kind:?} with {words:?}"))),
        }
    }

    /// Asks for no finding at all.
    pub(crate) fn tells_nothing(&self, when: &str) -> Checked {
        if self.findings.is_empty() { Ok(()) } else { Err(self.fail(format!("no finding {when}"))) }
    }

    /// The text on the waits of a task, if it is shown.
    pub(crate) fn waits_of(&self, name: &str) -> Option<&str> {
        self.tasks.iter().find(|task| task.name == name).map(|task| &*task.waits)
    }

    pub(crate) fn fail(&self, expected: impl ToString) -> Verdict {
        let texts = self.findings.iter().flat_map(|found| found.text.lines().map(str::to_owned));
        let tasks = self.tasks.iter().map(|task| format!("task {}: {}", task.name, task.waits));
        Verdict::Fail {
            expected: expected.to_string(),
            got: match &*self.findings {
                [] => "no finding".to_owned(),
                found => format!("{:?}", found.iter().map(|found| found.kind).collect::<Vec<_>>()),
            },
            timeline: texts.chain(tasks).collect(),
        }
    }
}
