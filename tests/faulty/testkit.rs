//! Our test kit with one promise broken at a time.

mod clock;
mod cutter;
mod server;

use std::{
    any::Any,
    cell::RefCell,
    io::{self, BufRead, BufReader, Write},
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    process::{Command, Stdio, exit},
    sync::Arc,
    thread,
};

use evenkeel_tck::{
    Adapter, AdapterError,
    testkit::{Calls, Capability, Connector, Cutting, Event, LocalFuture, Program, Route, Settings, TestKit},
};
use evenkeel_testkit::{World, net::MemNet};
use tokio::runtime::{Builder, Handle, Runtime};

use self::clock::FaultyControls;
use super::Planted;
use crate::adapters::testkit::{child, evenkeel};

faults! {
    SleepsLate "TESTKIT-01",
    TakesRealTime "TESTKIT-02" isolated,
    FiresInTheOrderOfSetting "TESTKIT-03",
    FiresTheLastFirst "TESTKIT-04",
    MovesWhileTasksRun "TESTKIT-05",
    PassesBlockingCalls "TESTKIT-06",
    MovesWhileBytesTravel "TESTKIT-07",
    Drifts "TESTKIT-08",
    KeepsTimeInFloats "TESTKIT-09",
    RunsTheTestBeforeOn "TESTKIT-10",
    KnowsOneThread "TESTKIT-11",
    RoundsMoves "TESTKIT-12",
    JumpsToTheEndOfAMove "TESTKIT-13",
    ReturnsBeforeTasksHaveRun "TESTKIT-14",
    SkipsEachTenthMove "TESTKIT-15",
    IgnoresHolds "TESTKIT-16",
    SettlesNothing "TESTKIT-17",
    HangsAtADeadlock "TESTKIT-18" isolated,
    HasNoLimit "TESTKIT-19" isolated,
    EndsWithoutAWord "TESTKIT-20",
    EndsBeforeItBlocks "TESTKIT-20",
    SeesNoBlockedThread "TESTKIT-21",
    AddsUpAllComputing "TESTKIT-22",
    SeesNoLeak "TESTKIT-23",
    SeesTasksOfTheTestAlone "TESTKIT-24",
    CountsTasksThatHaveEnded "TESTKIT-25",
    WaitsForNoTask "TESTKIT-26",
    AbortsWhatIsLeft "TESTKIT-26",
    TellsNoNumber "TESTKIT-27",
    KeepsItsRuntime "TESTKIT-28",
    LeavesBlockingCalls "TESTKIT-29",
    CatchesPanics "TESTKIT-30",
    SeesNoPanicOfTasks "TESTKIT-31",
    AllowsNoPanic "TESTKIT-32",
    HangsInsideARuntime "TESTKIT-33" isolated,
    SkipsAnAwait "TESTKIT-34",
    SharesTheState "TESTKIT-35",
    RunsToTheEndAlone "TESTKIT-35",
    ChecksNothing "TESTKIT-36",
    ChecksBeforeTheDrop "TESTKIT-37",
    RunsNothing "TESTKIT-37",
    SeesNoTaskOfACut "TESTKIT-38",
    PollsWithoutAWake "TESTKIT-39",
    DropsBeforeWakesAlone "TESTKIT-40",
    RepliesInReverse "TESTKIT-41",
    AnswersEverything "TESTKIT-42",
    AnswersNothing "TESTKIT-42",
    ExpectsNothing "TESTKIT-43",
    ExpectsOneMore "TESTKIT-44",
    RecordsTheLastFirst "TESTKIT-45",
    AnswersInPlaceOfAReset "TESTKIT-46",
    CutsAByteLater "TESTKIT-47",
    AnswersLate "TESTKIT-48",
    SlowsWithEachCall "TESTKIT-49",
    StaysAfterItsEnd "TESTKIT-50",
    IgnoresTheSeed "TESTKIT-51",
    KnowsOneSeed "TESTKIT-52",
    TellsNoSeed "TESTKIT-53",
}

struct Faulty(Fault);

impl Adapter<Settings> for Faulty {
    fn supports(&self, _: Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, settings: &Settings) -> Result<Box<dyn TestKit>, AdapterError> {
        let mut settings = settings.clone();
        match self.0 {
            Fault::HasNoLimit => settings.wall_limit = None,
            Fault::SeesNoBlockedThread | Fault::AddsUpAllComputing => settings.block_limit = None,
            Fault::SeesNoPanicOfTasks => settings.panics = usize::MAX,
            Fault::AllowsNoPanic => settings.panics = 0,
            _ => {}
        }
        Ok(Box::new(Kit { fault: self.0, settings }))
    }
}

struct Kit {
    fault: Fault,
    settings: Settings,
}

thread_local! {
    static BEFORE: RefCell<Option<Program>> = const { RefCell::new(None) };
}

impl TestKit for Kit {
    fn run(&self, program: Program) {
        match self.fault {
            Fault::TakesRealTime => {
                plain(false).block_on(program.run(Arc::new(FaultyControls::new(self.fault, None))));
            }
            Fault::HangsAtADeadlock => self.in_tokio(&program, drop),
            Fault::KeepsItsRuntime => self.in_tokio(&program, mem::forget),
            Fault::LeavesBlockingCalls => self.in_tokio(&program, Runtime::shutdown_background),
            Fault::EndsWithoutAWord => end_without_a_word(),
            Fault::EndsBeforeItBlocks => panic!("no test runs"),
            Fault::HangsInsideARuntime if Handle::try_current().is_ok() => loop {
                thread::park();
            },
            Fault::CatchesPanics => drop(self.caught(&program)),
            Fault::TellsNoNumber => {
                self.caught(&program).unwrap_or_else(|_| panic!("tasks are left"));
            }
            Fault::AddsUpAllComputing => {
                let computed = clock::computing(|| self.in_world(&program));
                assert!(computed.as_millis() < 100, "computed for too long");
            }
            Fault::RunsTheTestBeforeOn => {
                if let Some(before) = BEFORE.replace(Some(program.clone())) {
                    before.note(self.settings.lasts, Event::Noted(7));
                }
                self.in_world(&program);
            }
            _ => self.in_world(&program),
        }
    }

    fn cut(&self, operation: Cutting) {
        match self.fault {
            Fault::SkipsAnAwait
            | Fault::SharesTheState
            | Fault::RunsToTheEndAlone
            | Fault::ChecksNothing
            | Fault::ChecksBeforeTheDrop
            | Fault::SeesNoTaskOfACut
            | Fault::PollsWithoutAWake
            | Fault::DropsBeforeWakesAlone => cutter::cut(self.fault, &operation),
            Fault::RunsNothing => {}
            _ => evenkeel::cut(&operation),
        }
    }

    fn serve(&self, routes: Vec<Route>, calls: Calls) {
        World::run(async |_| server::serve(self.fault, routes, calls).await);
    }

    fn simulate(&self, seed: u64, body: Box<dyn FnOnce(Connector) -> LocalFuture>) {
        let seed = match self.fault {
            Fault::IgnoresTheSeed => server::another_number(),
            Fault::KnowsOneSeed => 0,
            _ => seed,
        };
        World::builder().seed(seed).run(async |world| {
            let used = if self.fault == Fault::TellsNoSeed { seed } else { world.seed() };
            body(evenkeel::echo(&MemNet::new().seed(used))).await;
        });
    }

    fn child(&self, rule: &'static str) -> Option<Command> {
        let name = match self.fault {
            Fault::None => "sound".to_owned(),
            fault => format!("{fault:?}"),
        };
        child(&name, rule)
    }
}

impl Kit {
    fn in_world(&self, program: &Program) {
        let world = evenkeel::world(&self.settings);
        let sees_leaks = !matches!(
            self.fault,
            Fault::SeesNoLeak
                | Fault::SeesTasksOfTheTestAlone
                | Fault::CountsTasksThatHaveEnded
                | Fault::WaitsForNoTask
                | Fault::AbortsWhatIsLeft
        );
        let world = if sees_leaks { world } else { world.allow_leaks(usize::MAX) };
        world.run(async |world| {
            let controls = Arc::new(FaultyControls::new(self.fault, Some(world)));
            controls.begin();
            program.run(controls.clone()).await;
            controls.check_at_the_end();
        });
    }

    fn in_tokio(&self, program: &Program, end: fn(Runtime)) {
        let runtime = plain(true);
        runtime.block_on(program.run(Arc::new(FaultyControls::new(self.fault, None))));
        end(runtime);
    }

    fn caught(&self, program: &Program) -> Result<(), Box<dyn Any + Send>> {
        catch_unwind(AssertUnwindSafe(|| self.in_world(program)))
    }
}

/// Ends this process as soon as the test has said that it blocks its thread, which it does in another process.
fn end_without_a_word() -> ! {
    let test = child(&format!("{:?}", Fault::HasNoLimit), "TESTKIT-20");
    let mut test = test.expect("this program has a path").stderr(Stdio::piped()).spawn().expect("it starts");
    let words = BufReader::new(test.stderr.take().expect("it is a pipe"));
    for line in words.lines().map_while(Result::ok) {
        let _ = writeln!(io::stderr(), "{line}");
        if line.contains("blocks its thread") {
            break;
        }
    }
    let _ = test.kill();
    let _ = test.wait();
    exit(1)
}

fn plain(is_paused: bool) -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().start_paused(is_paused).build();
    runtime.expect("the system can make a runtime")
}
