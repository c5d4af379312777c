//! What a run needs outside of its runtime: a thread that hears signals and can end the process.

use std::future::pending;
use std::process::exit;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use evenkeel_task::Panic;
use tokio::runtime::{Builder, Handle};
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::{sleep, timeout};

use crate::run::Run;
use crate::signals::Source;
use crate::{Reason, report};

/// From the abort of the tasks to the end of the process.
const MARGIN: Duration = Duration::from_secs(2);

/// For the last words of the process.
const PATIENCE: Duration = Duration::from_millis(200);

static PROCESS: Mutex<Process> =
    Mutex::new(Process { listener: None, heard: Vec::new(), active: Vec::new(), armed: Vec::new() });

struct Process {
    // The runtime of the thread, which stays for the rest of the process, as the handlers do.
    listener: Option<Handle>,
    // The signals that have a handler.
    heard: Vec<i32>,
    active: Vec<Watched>,
    // The watchdogs of runs that were asked to stop and have ended.
    armed: Vec<AbortHandle>,
}

fn process() -> MutexGuard<'static, Process> {
    PROCESS.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Watched {
    run: Arc<Run>,
    // Those that it listens to.
    numbers: Vec<i32>,
    // How many have come.
    signals: u32,
}

/// Keeps a run connected with the signals and the watchdog until it is dropped.
pub(crate) struct Watch {
    run: Arc<Run>,
    watchdog: AbortHandle,
}

/// Connects a run with the signals and the watchdog, and calls the watchdogs of earlier runs off.
///
/// # Panics
///
/// If the system refuses the thread or a handler.
pub(crate) fn watch(run: &Arc<Run>, numbers: Vec<i32>) -> Watch {
    let mut process = process();
    let listener = process.listener.get_or_insert_with(listen).clone();
    for number in &numbers {
        if !process.heard.contains(number) {
            hear(&listener, *number);
            process.heard.push(*number);
        }
    }
    let watchdog = listener.spawn(watchdog(run.clone())).abort_handle();
    process.armed.drain(..).for_each(|earlier| earlier.abort());
    process.active.push(Watched { run: run.clone(), numbers, signals: 0 });
    Watch { run: run.clone(), watchdog }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut process = process();
        let mut asked = self.run.stop.is_draining() && self.run.reason() != Some(&Reason::Ended);
        process.active.retain(|watched| {
            let mine = Arc::ptr_eq(&watched.run, &self.run);
            asked |= mine && watched.signals > 0;
            !mine
        });
        // The end of one run is not the end of the process while there is another.
        if asked && process.active.is_empty() {
            process.armed.push(self.watchdog.clone());
        } else {
            self.watchdog.abort();
        }
    }
}

/// Starts the thread. It has a runtime of its own, because the one of the program may be stuck or gone.
fn listen() -> Handle {
    let runtime =
        Builder::new_current_thread().enable_all().build().expect("a runtime for signals can be built");
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name("evenkeel-shutdown".to_owned())
        .spawn(move || runtime.block_on(pending::<()>()))
        .expect("a thread for signals can be started");
    handle
}

/// Takes a signal over from the system.
fn hear(listener: &Handle, number: i32) {
    let mut source = {
        let _inside = listener.enter();
        Source::listen(number)
            .unwrap_or_else(|error| panic!("signal {number} cannot be listened to: {error}"))
    };
    listener.spawn(async move {
        while source.next().await.is_some() {
            heard(number);
        }
    });
}

/// The ladder: drain, abort, end. The handler stays installed for good, so a signal that no run listens to ends
/// the process.
fn heard(number: i32) {
    let mut process = process();
    let mut listening = process.active.iter_mut().filter(|run| run.numbers.contains(&number)).peekable();
    if listening.peek().is_none() {
        exit(128 + number);
    }
    for Watched { run, signals, .. } in listening {
        *signals += 1;
        // It wakes those who wait for it. What panics there must not keep the next signal from being heard.
        drop(Panic::catch(|| match signals {
            1 => run.drain(Reason::Signal(number)),
            2 => run.stop.abort("the second signal came"),
            _ => exit(128 + number),
        }));
    }
}

/// Ends the process when it does not end by itself.
async fn watchdog(run: Arc<Run>) {
    run.must_abort().await;
    sleep(MARGIN).await;
    let words = run.state().last_words();
    // In a thread of its own: what hangs may have locked stderr, and who should read it may read no more.
    let said = tokio::spawn(async { spawn_blocking(move || report::say(words)).await });
    drop(timeout(PATIENCE, said).await);
    exit(match run.reason() {
        Some(Reason::Signal(number)) => 128 + number,
        _ => 1,
    })
}
