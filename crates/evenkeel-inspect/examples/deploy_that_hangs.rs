//! A deployment stops the program, which waits for the guard of an upload that was forgotten.
#![expect(clippy::print_stdout, reason = "it shows the dump")]

use std::{sync::Mutex, time::Duration};

use evenkeel_inspect::{Dump, dump_of};
use evenkeel_shutdown::{Guard, Handle as Program, Shutdown};
use tokio::{runtime::Handle, time::sleep};

/// The uploads that go on. One whose client has vanished is never taken out.
static UPLOADS: Mutex<Vec<Guard>> = Mutex::new(Vec::new());

fn begin_upload(program: &Program) {
    let guard = program.guard("upload 7");
    UPLOADS.lock().expect("no panic").push(guard);
}

/// Looks at the program fifteen seconds after it was asked to stop, in which its clock jumps.
pub(crate) async fn look() -> Dump {
    // In production `Shutdown::new()`, which SIGTERM stops.
    let (shutdown, stop) = Shutdown::manual();
    let program = shutdown.handle();
    let run = shutdown
        .grace(Duration::from_secs(30))
        .task("http", async move |stop| {
            begin_upload(&program);
            stop.draining().await;
        })
        .run();
    let deploy = async {
        sleep(Duration::from_secs(60)).await;
        stop.drain("deploy");
        sleep(Duration::from_secs(15)).await;
        dump_of(Handle::current().id())
    };
    let dump = tokio::select! {
        report = run => panic!("it does not hang: {report}"),
        dump = deploy => dump,
    };
    UPLOADS.lock().expect("no panic").clear();
    dump
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    println!("{}", look().await);
}
