//! A program under test: a list of steps, and the events that they note.
//!
//! A program is data, so that the same one can be run under the kits of other languages. Each rule has its own, and looks at
//! the events with the time stamps of the kit, and at the end of the test.

use std::{
    collections::HashMap,
    fmt,
    io::{self, Write as _},
    pin::pin,
    sync::{Arc, LazyLock, Mutex},
    thread,
    time::Duration,
};

use evenkeel_base::lock;
use evenkeel_testkit::thread_cpu_time;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::{JoinHandle, yield_now},
    time::{Instant, interval, timeout},
};

use super::Controls;
use crate::{BoxFuture, runtime::park_for, timeline::Timeline};

/// One step of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Notes this number.
    Note(u32),
    /// Waits on the clock of the test.
    Sleep(Duration),
    /// Lets other tasks run, so many times.
    Yield(u32),
    /// An interval of this period: notes each of so many ticks, of which the first one is at once.
    Ticks(Duration, u32),
    /// Spawns a task of this number.
    Spawn(u32, Vec<Step>),
    /// Waits for the task of this number; notes it if the task has panicked.
    Join(u32),
    /// Aborts the task of this number, and waits for its end.
    Abort(u32),
    /// Runs steps for this time at most; notes the time-out.
    Timeout(Duration, Vec<Step>),
    /// Waits for a blocking call of this real time.
    Blocking(Duration),
    /// Starts a blocking call of this real time, and does not wait for it; its end is noted.
    LeftBlocking(Duration),
    /// Waits for a thread that answers after this real time.
    Thread(Duration),
    /// Sends so many bytes to a server of the program, on the loopback, and reads them back.
    Loopback(usize),
    /// Waits for good.
    Wait,
    /// Computes for this time of the processor, without an await.
    Compute(Duration),
    /// Blocks its thread for good.
    Block,
    /// Panics with this text.
    Panic(String),
    /// Keeps a value until the end of its task, and notes its drop.
    Keep,
    /// Moves the clock.
    Move(Duration),
    /// Stops the clock.
    Hold,
    /// Lets the clock go on.
    Release,
    /// Waits until nothing else can run.
    Settle,
}

/// An event of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A number was noted.
    Noted(u32),
    /// A tick of an interval.
    Tick(u32),
    /// A time-out came first.
    TimedOut,
    /// A task was joined that had panicked.
    Panicked(u32),
    /// A kept value was dropped.
    Dropped,
    /// A blocking call that nobody waits for has ended.
    BlockingEnded,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Noted(number) => write!(f, "noted {number}"),
            Self::Tick(number) => write!(f, "tick {number}"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Panicked(task) => write!(f, "task {task} had panicked"),
            Self::Dropped => f.write_str("dropped what a task kept"),
            Self::BlockingEnded => f.write_str("a blocking call has ended"),
        }
    }
}

/// A program under test. Its clones note into the same record.
#[derive(Clone, Debug)]
pub struct Program {
    steps: Arc<[Step]>,
    record: Timeline<Event>,
}

impl Program {
    pub(crate) fn new(steps: impl Into<Arc<[Step]>>) -> Self {
        Self { steps: steps.into(), record: Timeline::start() }
    }

    /// Its steps.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Notes an event, for a kit that runs the steps itself.
    pub fn note(&self, at: Duration, event: Event) {
        self.record.note_at(at, event);
    }

    pub(crate) fn record(&self) -> &Timeline<Event> {
        &self.record
    }

    /// Runs the steps on tokio, with these controls of the kit.
    pub fn run(&self, controls: Arc<dyn Controls>) -> BoxFuture<'static, ()> {
        let (steps, record) = (self.steps.clone(), self.record.clone());
        Box::pin(async move {
            let start = controls.now();
            let scene =
                Arc::new(Scene { controls, record, start, tasks: Mutex::default(), held: Mutex::default() });
            steps_of(scene, steps).await;
        })
    }
}

/// A program that runs.
struct Scene {
    controls: Arc<dyn Controls>,
    record: Timeline<Event>,
    start: Instant,
    tasks: Mutex<HashMap<u32, JoinHandle<()>>>,
    held: Mutex<Option<Box<dyn Send>>>,
}

/// Notes its drop.
struct Kept(Arc<Scene>);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.note(Event::Dropped);
    }
}

impl Scene {
    fn note(&self, event: Event) {
        self.record.note_at(self.controls.now().saturating_duration_since(self.start), event);
    }

    fn task(&self, number: u32) -> Option<JoinHandle<()>> {
        lock(&self.tasks).remove(&number)
    }
}

/// Runs steps, in a task of their own or not.
fn steps_of(scene: Arc<Scene>, steps: Arc<[Step]>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let mut kept = Vec::new();
        for step in steps.iter() {
            match step {
                Step::Note(number) => scene.note(Event::Noted(*number)),
                Step::Sleep(time) => scene.controls.sleep(*time).await,
                Step::Yield(times) => {
                    for _ in 0..*times {
                        yield_now().await;
                    }
                }
                Step::Ticks(period, count) => {
                    let mut ticks = pin!(interval(*period));
                    for number in 0..*count {
                        ticks.tick().await;
                        scene.note(Event::Tick(number));
                    }
                }
                Step::Spawn(number, steps) => {
                    let task = scene.controls.spawn(steps_of(scene.clone(), steps.as_slice().into()));
                    let old = lock(&scene.tasks).insert(*number, task);
                    drop(old);
                }
                Step::Join(number) => {
                    if let Some(task) = scene.task(*number)
                        && task.await.is_err_and(|error| error.is_panic())
                    {
                        scene.note(Event::Panicked(*number));
                    }
                }
                Step::Abort(number) => {
                    if let Some(task) = scene.task(*number) {
                        task.abort();
                        let _ = task.await;
                    }
                }
                Step::Timeout(limit, steps) => {
                    let limited = steps_of(scene.clone(), steps.as_slice().into());
                    if timeout(*limit, limited).await.is_err() {
                        scene.note(Event::TimedOut);
                    }
                }
                Step::Blocking(time) => {
                    let time = *time;
                    scene.controls.blocking(Box::new(move || park_for(time))).await;
                }
                Step::LeftBlocking(time) => {
                    let (time, scene) = (*time, scene.clone());
                    drop(tokio::task::spawn_blocking(move || {
                        park_for(time);
                        scene.note(Event::BlockingEnded);
                    }));
                }
                Step::Thread(time) => answer_of_a_thread(*time).await,
                Step::Loopback(bytes) => there_and_back(*bytes).await,
                Step::Wait => std::future::pending().await,
                Step::Compute(time) => compute(*time),
                Step::Block => block(),
                Step::Panic(text) => panic!("{text}"),
                Step::Keep => kept.push(Kept(scene.clone())),
                Step::Move(time) => scene.controls.move_by(*time).await,
                Step::Hold => {
                    let held = scene.controls.hold();
                    let old = lock(&scene.held).replace(held);
                    drop(old);
                }
                Step::Release => {
                    let held = lock(&scene.held).take();
                    drop(held);
                }
                Step::Settle => scene.controls.settle().await,
            }
        }
    })
}

/// The line on the standard error of a test that is about to block its thread.
pub(crate) const BLOCKS: &str = "evenkeel-tck: the test blocks its thread";

/// Blocks this thread for good.
fn block() -> ! {
    let _ = writeln!(io::stderr(), "{BLOCKS}");
    loop {
        thread::park();
    }
}

/// Computes for a time of the processor, as far as the system tells it.
fn compute(time: Duration) {
    let start = computed();
    while computed().saturating_sub(start) < time {
        std::hint::spin_loop();
    }
}

/// How long this thread has computed; the real time, where the system does not tell it.
#[expect(clippy::disallowed_methods, reason = "computing takes real time")]
fn computed() -> Duration {
    static START: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);
    thread_cpu_time().unwrap_or_else(|| START.elapsed())
}

async fn answer_of_a_thread(time: Duration) {
    let (answer, answered) = oneshot::channel();
    thread::spawn(move || {
        park_for(time);
        let _ = answer.send(());
    });
    let _ = answered.await;
}

/// Sends bytes over the loopback to a task of this runtime, which sends them back.
async fn there_and_back(bytes: usize) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("the loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    let server = tokio::spawn(async move {
        let Ok((stream, _)) = listener.accept().await else { return };
        let (mut reader, mut writer) = stream.into_split();
        let mut buffer = vec![0; 4096];
        while let Ok(read @ 1..) = reader.read(&mut buffer).await {
            if writer.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    });
    let stream = TcpStream::connect(address).await.expect("it listens");
    let (mut reader, mut writer) = stream.into_split();
    let sender = tokio::spawn(async move {
        let _ = writer.write_all(&vec![7; bytes]).await;
    });
    let _ = reader.read_exact(&mut vec![0; bytes]).await;
    let _ = sender.await;
    drop(reader);
    let _ = server.await;
}
