//! The signals that ask a program to stop.

use std::io;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
#[cfg(windows)]
use tokio::signal::windows::{CtrlBreak, CtrlC, ctrl_break, ctrl_c};

/// Those of a program that names none: SIGINT and SIGTERM; on Windows Ctrl-C and Ctrl-Break, by the numbers
/// that the C library of the system has for them.
#[cfg(unix)]
pub(crate) const USUAL: [i32; 2] = [2, 15];
#[cfg(windows)]
pub(crate) const USUAL: [i32; 2] = [2, 21];

/// One kind of signal, taken over from the system for the rest of the process.
#[cfg(unix)]
pub(crate) struct Source(Signal);

#[cfg(windows)]
pub(crate) enum Source {
    CtrlC(CtrlC),
    CtrlBreak(CtrlBreak),
}

impl Source {
    #[cfg(unix)]
    pub(crate) fn listen(number: i32) -> io::Result<Self> {
        signal(SignalKind::from_raw(number)).map(Self)
    }

    #[cfg(windows)]
    pub(crate) fn listen(number: i32) -> io::Result<Self> {
        match number {
            2 => ctrl_c().map(Self::CtrlC),
            21 => ctrl_break().map(Self::CtrlBreak),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Ends when the signal comes; `None` when it cannot come any more. Two in a very short time are one.
    pub(crate) async fn next(&mut self) -> Option<()> {
        #[cfg(unix)]
        return self.0.recv().await;
        #[cfg(windows)]
        match self {
            Self::CtrlC(source) => source.recv().await,
            Self::CtrlBreak(source) => source.recv().await,
        }
    }
}

/// Does what the system does when a signal comes that nobody has taken over: most of them end the process here.
pub(crate) fn by_default(number: i32) {
    // For the first process of a container it does nothing.
    if std::process::id() == 1 {
        return;
    }
    // What it refuses, nobody could have taken over.
    #[cfg(unix)]
    let _ = signal_hook::low_level::emulate_default_handler(number);
    #[cfg(windows)]
    std::process::exit(128 + number);
}

/// Ends the process now, without the handlers that others have registered for its end.
pub(crate) fn end_now(code: i32) -> ! {
    #[cfg(unix)]
    signal_hook::low_level::exit(code);
    #[cfg(windows)]
    {
        let _ = code;
        std::process::abort()
    }
}
