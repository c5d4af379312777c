//! A process of a server that is stopped, killed and started again.

use std::{
    io,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tokio::{task::spawn_blocking, time::sleep};

/// How often a signal is sent, how often is looked after each, and the time between.
const SIGNALS: usize = 20;
const LOOKS: usize = 50;
const LOOK: Duration = Duration::from_millis(5);

/// The way to end a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// It ends in order.
    Interrupt,
    /// As after a crash: nothing is written any more.
    Quit,
    Kill,
}

/// A server that can be started.
pub(crate) trait Restart: Send + Sync + 'static {
    fn command(&self) -> Command;
    fn child(&self) -> &Mutex<Option<Child>>;

    fn running(&self) -> MutexGuard<'_, Option<Child>> {
        self.child().lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the process; it takes connections soon.
    fn start(&self) -> io::Result<()> {
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        *self.running() = Some(command.spawn()?);
        Ok(())
    }

    /// Ends the process, and waits for its end. Returns whether there was one.
    fn stop(&self, signal: Signal) -> bool {
        let Some(mut child) = self.running().take() else { return false };
        let name = match signal {
            Signal::Interrupt => "INT",
            Signal::Quit => "QUIT",
            Signal::Kill => "KILL",
        };
        // A process that has just been started may not know of signals yet.
        for _ in 0..SIGNALS {
            let _ = Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
            for _ in 0..LOOKS {
                if child.try_wait().is_ok_and(|end| end.is_some()) {
                    return true;
                }
                thread::park_timeout(LOOK);
            }
        }
        let _ = child.kill();
        let _ = child.wait();
        true
    }

    /// Ends the process, and starts it again after a time; nothing if that is under way.
    fn restart(self: &Arc<Self>, signal: Signal, downtime: Duration)
    where
        Self: Sized,
    {
        let server = Arc::clone(self);
        tokio::spawn(async move {
            let stopping = Arc::clone(&server);
            if spawn_blocking(move || stopping.stop(signal)).await.unwrap_or_default() {
                sleep(downtime).await;
                server.start().unwrap_or_else(|error| panic!("the server does not start again: {error}"));
            }
        });
    }
}
