//! The signals that ask a program to stop.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
#[cfg(windows)]
use tokio::signal::windows::{CtrlBreak, CtrlC, ctrl_break, ctrl_c};

pub(crate) struct Signals {
    #[cfg(unix)]
    sources: [(i32, Signal); 2],
    #[cfg(windows)]
    ctrl_c: CtrlC,
    #[cfg(windows)]
    ctrl_break: CtrlBreak,
}

#[cfg(unix)]
impl Signals {
    /// Takes the signals over from the system, for the rest of the process.
    pub(crate) fn listen() -> io::Result<Self> {
        let listen = |kind: SignalKind| Ok::<_, io::Error>((kind.as_raw_value(), signal(kind)?));
        Ok(Self { sources: [listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?] })
    }

    /// The number of the next signal. Two of a kind in a very short time are one.
    pub(crate) async fn next(&mut self) -> i32 {
        poll_fn(|cx| {
            for (number, source) in &mut self.sources {
                if source.poll_recv(cx).is_ready() {
                    return Poll::Ready(*number);
                }
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(windows)]
impl Signals {
    /// Takes the signals over from the system, for the rest of the process.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { ctrl_c: ctrl_c()?, ctrl_break: ctrl_break()? })
    }

    /// The number of the next signal, as the C library of the system counts: 2 is SIGINT, 21 is SIGBREAK.
    pub(crate) async fn next(&mut self) -> i32 {
        poll_fn(|cx| {
            if self.ctrl_c.poll_recv(cx).is_ready() {
                return Poll::Ready(2);
            }
            self.ctrl_break.poll_recv(cx).map(|_| 21)
        })
        .await
    }
}
