//! Signals of the process, in real time. The rules send them to their own process, so they need one for themselves.

use std::{
    process::{self, Command},
    sync::mpsc::{self, Receiver},
    thread,
};

use super::prelude::*;

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

/// A program that runs on a thread of its own.
struct Running {
    record: Record,
    ended: Receiver<Checked<Finished>>,
}

impl Running {
    /// Runs a program until its first task has begun.
    fn start(subject: &Subject, settings: &Settings, scene: Scene) -> Checked<Self> {
        let running = Self::make(subject, settings, scene)?;
        running.shows("a task that begins", |record| record.first(&Event::Began(1)).is_some())?;
        Ok(running)
    }

    fn make(subject: &Subject, settings: &Settings, scene: Scene) -> Checked<Self> {
        if cfg!(not(unix)) {
            return Err(Verdict::Untested("it sends signals of Unix".to_owned()));
        }
        let program = configure(subject, settings)?;
        let runtime = runtime(Builder::new_current_thread().enable_all())?;
        let record = Record::start();
        let (done, ended) = mpsc::channel();
        let run = {
            let record = record.clone();
            async move { Finished::end(program.call(Parts::new(scene, &record)), record).await }
        };
        // The receiver is gone if the rule has failed.
        thread::spawn(move || drop(done.send(runtime.block_on(run))));
        Ok(Self { record, ended })
    }

    /// Waits until this can be seen in the record.
    fn shows(&self, what: &str, is_there: impl Fn(&Record) -> bool) -> Checked {
        for _ in 0..SOON.as_millis() {
            if is_there(&self.record) {
                return Ok(());
            }
            thread::park_timeout(ms(1));
        }
        Err(self.record.failure(what, "none"))
    }

    /// Sends SIGINT to this process.
    fn interrupt(&self) -> Checked {
        let sent = Command::new("sh").args(["-c", &format!("kill -INT {}", process::id())]).status();
        if sent.is_ok_and(|status| status.success()) {
            return Ok(());
        }
        Err(Verdict::Untested("there is no shell".to_owned()))
    }

    /// Waits for the end of the program.
    fn end(&self, after: &str) -> Checked<Finished> {
        let never = |_| self.record.failure(format_args!("the end of the program after {after}"), "none");
        self.ended.recv_timeout(SOON).map_err(never)?
    }
}

fn shutdown_36(subject: &Subject) -> Checked {
    let settings = Settings { signals: true, ..Settings::unstopped() };
    let running = Running::start(subject, &settings, Scene::of([task(1)]))?;
    running.interrupt()?;
    let run = running.end("SIGINT")?;
    run.equal("tasks that were asked:", run.drained().len(), 1)
}

fn shutdown_37(subject: &Subject) -> Checked {
    let settings = Settings { signals: true, again_after: Some(ms(0)), ..Settings::unstopped() };
    let scene = Scene::of([task(1).deaf(), task(2)]);
    let running = Running::start(subject, &settings.within(secs(600)), scene)?;
    running.interrupt()?;
    running.shows("a task that is asked to stop", |record| !record.drained().is_empty())?;
    thread::park_timeout(AGAIN);
    running.interrupt()?;
    running.end("a second SIGINT").map(drop)
}

fn shutdown_38(subject: &Subject) -> Checked {
    shutdown_36(subject)?;
    thread::park_timeout(AGAIN);
    shutdown_36(subject)
}

fn shutdown_39(subject: &Subject) -> Checked {
    let settings = Settings { signals: true, again_after: Some(ms(0)), ..Settings::unstopped() };
    let running = Running::start(subject, &settings.within(secs(600)), Scene::of([task(1).draining(DRAIN)]))?;
    running.interrupt()?;
    running.shows("a task that is asked to stop", |record| !record.drained().is_empty())?;
    thread::park_timeout(COPY);
    running.interrupt()?;
    let run = running.end("SIGINT and a copy of it")?;
    run.equal("tasks that ended well:", run.ended(End::Ok), vec![1])
}

fn shutdown_40(subject: &Subject) -> Checked {
    let settings = Settings { signals: true, ..Settings::unstopped() };
    let running = Running::make(subject, &settings, Scene::of([task(1)]).starting_up(ms(200)))?;
    running.shows("a program that starts up", |record| record.first(&Event::StartsUp).is_some())?;
    thread::park_timeout(COPY);
    running.interrupt()?;
    let run = running.end("SIGINT during its start-up")?;
    run.equal("tasks that were left alive:", run.alive_at_the_end(), Vec::new())
}

fn shutdown_41(subject: &Subject) -> Checked {
    let settings = Settings { signals: true, ..Settings::unstopped() };
    let running = Running::start(subject, &settings, Scene::of([task(1)]))?;
    running.interrupt()?;
    running.end("SIGINT")?;
    thread::park_timeout(COPY);
    running.interrupt()?;
    // A handler that ends the process has done so by then.
    thread::park_timeout(COPY);
    Ok(())
}
