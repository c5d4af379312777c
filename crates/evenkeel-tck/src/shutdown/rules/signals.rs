//! Signals of the process: in real time, sent to this process, or in virtual time, sent to that of the implementation.

use std::{
    process::{self, Command},
    thread,
};

use tokio::{
    sync::oneshot,
    task::{AbortHandle, spawn_local},
};

use super::prelude::*;
use crate::{apart, rule::Place};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "SHUTDOWN-36" real shutdown_36 "A signal of the process stops the program."),
    rule!(Must "SHUTDOWN-37" real shutdown_37 "A second signal ends the grace at once."),
    rule!(Must "SHUTDOWN-38" real shutdown_38 "A second program in the same process hears signals like the first.")
        .after("SHUTDOWN-36"),
    rule!(Must "SHUTDOWN-39" real shutdown_39 "A copy of a signal is not a second one."),
    rule!(Must "SHUTDOWN-40" real shutdown_40 "A signal before the program runs stops it."),
    rule!(Must "SHUTDOWN-41" real shutdown_41 "A copy of a signal does not end a process whose program has ended."),
];

/// How long a program may take to do what it does at once.
const SOON: Duration = secs(1);

/// How long a person waits before the key is pressed again: longer than a runner takes to pass a signal on.
const AGAIN: Duration = ms(300);

/// How long a runner takes to pass a signal on that the terminal has sent as well.
const COPY: Duration = ms(40);

/// How long a task drains that a copy must not cut: a slow machine has this time to send the copy.
const DRAIN: Duration = ms(190);

/// A program that runs: on a thread of its own, or in another process.
struct Running {
    place: Place,
    record: Record,
    ended: oneshot::Receiver<Checked<Finished>>,
    task: Option<AbortHandle>,
}

impl Running {
    /// Runs a program until its first task has begun.
    async fn start(subject: &Subject, place: Place, settings: &Settings, scene: Scene) -> Checked<Self> {
        let running = Self::make(subject, place, settings, scene)?;
        running.shows("a task that begins", |record| record.first(&Event::Began(1)).is_some()).await?;
        Ok(running)
    }

    fn make(subject: &Subject, place: Place, settings: &Settings, scene: Scene) -> Checked<Self> {
        if cfg!(not(unix)) && place == Place::Here {
            return Err(Verdict::Untested("it sends signals of Unix".to_owned()));
        }
        let program = configure(subject, settings)?;
        let record = Record::start();
        let (done, ended) = oneshot::channel();
        let run = {
            let record = record.clone();
            async move { Finished::end(program.call(Parts::new(scene, &record)), record).await }
        };
        // The receiver is gone if the rule has failed.
        let task = match place {
            Place::Here => {
                let runtime = runtime(Builder::new_current_thread().enable_all())?;
                thread::spawn(move || drop(done.send(runtime.block_on(run))));
                None
            }
            Place::Apart => Some(spawn_local(async move { drop(done.send(run.await)) }).abort_handle()),
        };
        Ok(Self { place, record, ended, task })
    }

    /// Waits until this can be seen in the record.
    async fn shows(&self, what: &str, is_there: impl Fn(&Record) -> bool) -> Checked {
        for _ in 0..SOON.as_millis() {
            if is_there(&self.record) {
                return Ok(());
            }
            sleep(ms(1)).await;
        }
        Err(self.record.failure(what, "none"))
    }

    fn interrupt(&self) -> Checked {
        interrupt(self.place)
    }

    /// Waits for the end of the program.
    async fn end(&mut self, after: &str) -> Checked<Finished> {
        match timeout(SOON, &mut self.ended).await {
            Ok(Ok(ended)) => ended,
            _ => Err(self.record.failure(format_args!("the end of the program after {after}"), "none")),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Sends SIGINT to the process of the implementation.
fn interrupt(place: Place) -> Checked {
    if place == Place::Apart {
        apart::signal("SIGINT");
        return Ok(());
    }
    let sent = Command::new("sh").args(["-c", &format!("kill -INT {}", process::id())]).status();
    if sent.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    Err(Verdict::Untested("there is no shell".to_owned()))
}

async fn shutdown_36(subject: &Subject, place: Place) -> Checked {
    let settings = Settings { signals: true, ..Settings::unstopped() };
    let mut running = Running::start(subject, place, &settings, Scene::of([task(1)])).await?;
    running.interrupt()?;
    let run = running.end("SIGINT").await?;
    run.equal("tasks that were asked:", run.drained().len(), 1)
}

async fn shutdown_37(subject: &Subject, place: Place) -> Checked {
    let settings = Settings { signals: true, again_after: Some(ms(0)), ..Settings::unstopped() };
    let scene = Scene::of([task(1).deaf(), task(2)]);
    let mut running = Running::start(subject, place, &settings.within(secs(600)), scene).await?;
    running.interrupt()?;
    running.shows("a task that is asked to stop", |record| !record.drained().is_empty()).await?;
    sleep(AGAIN).await;
    running.interrupt()?;
    running.end("a second SIGINT").await.map(drop)
}

async fn shutdown_38(subject: &Subject, place: Place) -> Checked {
    shutdown_36(subject, place).await?;
    sleep(AGAIN).await;
    shutdown_36(subject, place).await
}

async fn shutdown_39(subject: &Subject, place: Place) -> Checked {
    let settings = Settings { signals: true, again_after: Some(ms(0)), ..Settings::unstopped() };
    let scene = Scene::of([task(1).draining(DRAIN)]);
    let mut running = Running::start(subject, place, &settings.within(secs(600)), scene).await?;
    running.interrupt()?;
    running.shows("a task that is asked to stop", |record| !record.drained().is_empty()).await?;
    sleep(COPY).await;
    running.interrupt()?;
    let run = running.end("SIGINT and a copy of it").await?;
    run.equal("tasks that ended well:", run.ended(End::Ok), vec![1])
}

async fn shutdown_40(subject: &Subject, place: Place) -> Checked {
    let settings = Settings { signals: true, ..Settings::unstopped() };
    let scene = Scene::of([task(1)]).starting_up(ms(200));
    let mut running = Running::make(subject, place, &settings, scene)?;
    running.shows("a program that starts up", |record| record.first(&Event::StartsUp).is_some()).await?;
    sleep(COPY).await;
    running.interrupt()?;
    let run = running.end("SIGINT during its start-up").await?;
    run.equal("tasks that were left alive:", run.alive_at_the_end(), Vec::new())
}

async fn shutdown_41(subject: &Subject, place: Place) -> Checked {
    let settings = Settings { signals: true, ..Settings::unstopped() };
    let mut running = Running::start(subject, place, &settings, Scene::of([task(1)])).await?;
    running.interrupt()?;
    running.end("SIGINT").await?;
    sleep(COPY).await;
    running.interrupt()?;
    // A handler that ends the process has done so by then.
    sleep(COPY).await;
    Ok(())
}
