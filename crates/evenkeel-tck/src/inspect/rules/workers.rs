//! Stores that are away, workers that are blocked, and views beside workers that are busy.

use std::{
    sync::{
        atomic::{AtomicBool, AtomicU32, Ordering},
        mpsc,
    },
    thread,
};

use tokio::{runtime::Handle, sync::oneshot, task::yield_now};

use super::prelude::*;
use crate::{
    inspect::{View, harness::run_program},
    runtime::{park_for, run_while_it_goes_on},
};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "INSPECT-20" inspect_20 "A store that is out of reach is found, with its failure, until it answers."),
    rule!(Must "INSPECT-21" threads inspect_21 "A pause that should have ended is found while the workers are blocked."),
    rule!(Must "INSPECT-22" threads inspect_22 "A view is taken while the workers are blocked."),
    rule!(Must "INSPECT-23" threads inspect_23 "Beside tasks that come and go on several threads, views show the one that waits and none that had ended before, and nothing is found."),
];

async fn inspect_20(subject: &Subject) -> Checked {
    needs(subject, Capability::Stalls)?;
    let views = run_scene(subject, &FREE, async |scene: Scene| {
        let is_away = Arc::new(AtomicBool::new(false));
        let away = is_away.clone();
        let answer = move || match away.load(Ordering::Relaxed) {
            true => Err("connection refused"),
            false => Ok(()),
        };
        scene.spawn("main", scene.program.shared_limit("quota", Arc::new(answer)));
        let mut views = vec![scene.look_after(secs(30)).await];
        for away in [true, false] {
            is_away.store(away, Ordering::Relaxed);
            let time = if away { 60 } else { 30 };
            views.push(scene.look_after(secs(time)).await);
        }
        views
    });
    let views = views.await?;
    views[0].tells_nothing("while the store answers")?;
    views[1].tells(StandStillKind::Outage, &["quota", "connection refused"])?;
    views[2].tells_nothing("when the store answers again")
}

fn inspect_21(subject: &Subject) -> Checked {
    needs(subject, Capability::Stalls)?;
    let view_of_a_pause = |time: Duration| {
        let view = beside_a_blocked_worker(subject, move |scene| {
            let (told, begins) = mpsc::channel();
            let pause = scene.program.pause(time);
            scene.spawn("poll", async move {
                let _ = told.send(());
                pause.await;
            });
            begins
        });
        view?.ok_or_else(|| no_view(WAIT))
    };
    view_of_a_pause(secs(60))?.tells_nothing("of a pause that is not over")?;
    view_of_a_pause(ms(100))?.tells(StandStillKind::LateTimer, &["poll"])
}

fn inspect_22(subject: &Subject) -> Checked {
    needs(subject, Capability::Waits)?;
    let view = beside_a_blocked_worker(subject, |scene| {
        let (told, begins) = mpsc::channel();
        let orders = scene.pool("orders", 1);
        let again = orders.clone();
        let inside = async move {
            let _ = told.send(());
            again.hold(Site::new(1), Box::pin(pending())).await;
        };
        scene.spawn("import", orders.hold(Site::new(0), Box::pin(inside)));
        begins
    })?;
    let view = view.ok_or_else(|| no_view(WAIT))?;
    match view.waits_of("import") {
        Some(_) => Ok(()),
        None => Err(view.fail("that `import` is shown, which waits")),
    }
}

/// The time that a view may take while the workers are blocked.
const WAIT: Duration = Duration::from_secs(10);

fn no_view(after: Duration) -> Verdict {
    Verdict::fail("a view", format!("none in {after:?}"))
}

/// Runs a program on one worker, which a task blocks; two seconds later a thread looks. Returns the view, if it comes in time.
///
/// `start` spawns a task that waits, and returns the channel that tells that it is about to.
fn beside_a_blocked_worker(
    subject: &Subject,
    start: impl FnOnce(&Scene) -> mpsc::Receiver<()> + Send + 'static,
) -> Result<Option<View>, Verdict> {
    run_on_workers(subject, 1, 2 * WAIT, &AtomicU32::new(0), async move |scene: Scene| {
        let begins = start(&scene);
        let _ = begins.recv_timeout(WAIT);
        let (blocks, blocked) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        scene.spawn("parse", async move {
            let _ = blocks.send(());
            let _ = released.recv_timeout(2 * WAIT);
        });
        // This future is on no worker.
        let _ = blocked.recv_timeout(WAIT);
        let (told, view) = mpsc::channel();
        let (program, handle) = (scene.program.clone(), Handle::current());
        let looks = thread::spawn(move || {
            park_for(secs(2));
            let _entered = handle.enter();
            let _ = told.send(program.look());
        });
        let view = view.recv_timeout(secs(2) + WAIT).ok();
        drop(release);
        let _ = looks.join();
        view
    })
}

/// Runs a program on so many workers, until it ends or has no new round within the limit. One that stands still for good, as
/// its views may make it, is left behind.
fn run_on_workers<T, Fut>(
    subject: &Subject,
    workers: usize,
    limit: Duration,
    rounds: &AtomicU32,
    body: impl FnOnce(Scene) -> Fut + Send + 'static,
) -> Checked<T>
where
    T: Send + 'static,
    Fut: Future<Output = T> + Send + 'static,
{
    let threads = runtime(Builder::new_multi_thread().worker_threads(workers).enable_time())?;
    let program = configure_on(&threads, subject, &FREE)?;
    let done = || rounds.load(Ordering::Acquire);
    match run_while_it_goes_on(threads, limit, done, async { run_program(program, body).await }) {
        Some(Ok(output)) => output,
        Some(Err(payload)) => Err(Verdict::fail("no panic", panic_message(&*payload))),
        None => {
            let got = format!("it has stood still for {limit:?}");
            Err(Verdict::fail("that the program goes on beside its views", got))
        }
    }
}

/// The rounds of the tasks that come and go.
const ROUNDS: u32 = 200;

/// The name of the task that waits beside them all the time.
const WAITS: &str = "waits";

fn inspect_23(subject: &Subject) -> Checked {
    needs(subject, Capability::Waits)?;
    let (ended, is_over) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let (rounds, stop) = (ended.clone(), is_over.clone());
    let views = run_on_workers(subject, 2, WAIT, &ended, async move |scene: Scene| {
        let (begins, begun) = oneshot::channel();
        scene.spawn(WAITS, async {
            let _ = begins.send(());
            pending().await
        });
        let _ = begun.await;
        let (done, tasks) = (rounds.clone(), scene.tasks());
        let (orders, stock) = (scene.pool("orders", 3), scene.pool("stock", 3));
        let work = scene.spawn("main", async move {
            for round in 0..ROUNDS {
                let mut running = Vec::new();
                for number in 0..20 {
                    let stock = stock.clone();
                    let inside = async move {
                        yield_now().await;
                        stock.hold(Site::new(1), Box::pin(yield_now())).await;
                    };
                    let task = orders.hold(Site::new(0), Box::pin(inside));
                    running.push(tasks.spawn(format!("{round}/{number}"), task));
                }
                for task in running {
                    task.ended().await;
                }
                done.store(round + 1, Ordering::Release);
            }
        });
        let (program, handle) = (scene.program.clone(), Handle::current());
        let (stops, done) = (stop.clone(), rounds.clone());
        let looks = thread::spawn(move || {
            let _entered = handle.enter();
            loop {
                let (is_last, before) = (stops.load(Ordering::Acquire), done.load(Ordering::Acquire));
                let view = program.look();
                let is_wrong = !view.findings.is_empty() || view.ended(before).is_some();
                if is_last || is_wrong || view.waits_of(WAITS).is_none() {
                    return (before, view);
                }
            }
        });
        work.ended().await;
        stop.store(true, Ordering::Release);
        (rounds.load(Ordering::Acquire), looks.join())
    });
    // The thread that looks ends, too, where the program stands still or has panicked.
    is_over.store(true, Ordering::Release);
    let (done, looks) = views?;
    let (before, view) = looks.map_err(|_| Verdict::fail("views", "a look panicked"))?;
    view.tells_nothing("in a program that goes on")?;
    if done < ROUNDS {
        return Err(Verdict::fail(format_args!("{ROUNDS} rounds of tasks"), format_args!("{done}")));
    }
    if let Some(name) = view.ended(before) {
        return Err(view.fail(format!("no task of a round before {before}, as `{name}` is")));
    }
    match view.waits_of(WAITS) {
        Some(_) => Ok(()),
        None => Err(view.fail(format!("that `{WAITS}` is shown, which waits all the time"))),
    }
}

impl View {
    /// The name of a task of a round before this one, if it is shown.
    fn ended(&self, round: u32) -> Option<&str> {
        let is_over = |name: &str| {
            name.split_once('/').is_some_and(|(of, _)| of.parse::<u32>().is_ok_and(|of| of < round))
        };
        self.tasks.iter().map(|task| &*task.name).find(|name| is_over(name))
    }
}
