//! Taking over the signals that ask a program to stop, on a thread of their own.

use std::io;
#[cfg(unix)]
use std::{sync::Mutex, thread};

#[cfg(unix)]
use evenkeel_base::lock;
#[cfg(unix)]
use signal_hook::{
    consts::FORBIDDEN,
    iterator::{Handle, Signals},
};

/// The default signals: SIGINT and SIGTERM; on Windows Ctrl-C and Ctrl-Break, by the numbers of its C library.
#[cfg(unix)]
pub(crate) const DEFAULT: [i32; 2] = [2, 15];
#[cfg(windows)]
pub(crate) const DEFAULT: [i32; 2] = [2, 21];

/// Takes a signal over from the system for the rest of the process, and calls `on_signal` each time it comes.
///
/// Signals of one number that come in a very short time may be merged into one.
///
/// The thread is not one of tokio: tokio passes signals on in any runtime with signals enabled, whose thread wakes
/// the wakers of all listeners of that signal, and a waker that blocks there would stop the signals.
#[cfg(unix)]
pub(crate) fn take_over(number: i32, on_signal: fn(i32)) -> io::Result<()> {
    static HANDLE: Mutex<Option<Handle>> = Mutex::new(None);
    // signal-hook panics at these.
    if !(1..128).contains(&number) || FORBIDDEN.contains(&number) {
        return Err(io::Error::other("no program can take it over"));
    }
    let mut handle = lock(&HANDLE);
    let handle = match &mut *handle {
        Some(handle) => handle,
        none => {
            let mut signals = Signals::new([0; 0])?;
            let handle = signals.handle();
            thread::Builder::new()
                .name("evenkeel-signal".to_owned())
                .spawn(move || signals.forever().for_each(on_signal))?;
            none.insert(handle)
        }
    };
    handle.add_signal(number)
}

#[cfg(windows)]
pub(crate) fn take_over(number: i32, on_signal: fn(i32)) -> io::Result<()> {
    use std::sync::Mutex;

    use evenkeel_base::lock;
    use tokio::signal::windows::{ctrl_break, ctrl_c};

    static TAKEN: Mutex<Vec<i32>> = Mutex::new(Vec::new());
    let mut taken = lock(&TAKEN);
    if taken.contains(&number) {
        return Ok(());
    }
    let runtime = crate::watchdog_thread::runtime();
    match number {
        2 => {
            let mut source = ctrl_c()?;
            runtime.spawn(async move {
                while source.recv().await.is_some() {
                    on_signal(number)
                }
            });
        }
        21 => {
            let mut source = ctrl_break()?;
            runtime.spawn(async move {
                while source.recv().await.is_some() {
                    on_signal(number)
                }
            });
        }
        _ => return Err(io::ErrorKind::Unsupported.into()),
    }
    taken.push(number);
    Ok(())
}

/// Performs the action that the system has for a signal without a handler; for most signals it ends the process.
pub(crate) fn default_action(number: i32) {
    // The kernel ignores signals without a handler for process 1 of a container.
    if std::process::id() == 1 {
        return;
    }
    // It fails only for signals that cannot have been taken over.
    #[cfg(unix)]
    let _ = signal_hook::low_level::emulate_default_handler(number);
    #[cfg(windows)]
    std::process::exit(128 + number);
}
