//! The signals that ask a program to stop.

use std::io;
#[cfg(unix)]
use std::{
    sync::{Mutex, PoisonError},
    thread,
};

#[cfg(unix)]
use signal_hook::{
    consts::FORBIDDEN,
    iterator::{Handle, Signals},
};

/// Those of a program that names none: SIGINT and SIGTERM; on Windows Ctrl-C and Ctrl-Break, by the numbers
/// that the C library of the system has for them.
#[cfg(unix)]
pub(crate) const USUAL: [i32; 2] = [2, 15];
#[cfg(windows)]
pub(crate) const USUAL: [i32; 2] = [2, 21];

/// Takes a signal over from the system for the rest of the process, and calls `heard` each time that it comes. Two in a
/// very short time are one.
///
/// They have a thread of their own. Tokio would hand them on in any runtime that has its signals switched on, on whose
/// thread it wakes the wakers of all who listen to the same signal.
#[cfg(unix)]
pub(crate) fn take_over(number: i32, heard: fn(i32)) -> io::Result<()> {
    static HANDLE: Mutex<Option<Handle>> = Mutex::new(None);
    // signal-hook would panic.
    if !(1..128).contains(&number) || FORBIDDEN.contains(&number) {
        return Err(io::Error::other("no program can take it over"));
    }
    let mut handle = HANDLE.lock().unwrap_or_else(PoisonError::into_inner);
    let handle = match &mut *handle {
        Some(handle) => handle,
        none => {
            let mut signals = Signals::new([0; 0])?;
            let handle = signals.handle();
            thread::Builder::new()
                .name("evenkeel-signal".to_owned())
                .spawn(move || signals.forever().for_each(heard))?;
            none.insert(handle)
        }
    };
    handle.add_signal(number)
}

#[cfg(windows)]
pub(crate) fn take_over(number: i32, heard: fn(i32)) -> io::Result<()> {
    use std::sync::{Mutex, PoisonError};

    use tokio::signal::windows::{ctrl_break, ctrl_c};

    static TAKEN: Mutex<Vec<i32>> = Mutex::new(Vec::new());
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    if taken.contains(&number) {
        return Ok(());
    }
    let listener = crate::watchdog_thread::listener();
    match number {
        2 => {
            let mut source = ctrl_c()?;
            listener.spawn(async move {
                while source.recv().await.is_some() {
                    heard(number)
                }
            });
        }
        21 => {
            let mut source = ctrl_break()?;
            listener.spawn(async move {
                while source.recv().await.is_some() {
                    heard(number)
                }
            });
        }
        _ => return Err(io::ErrorKind::Unsupported.into()),
    }
    taken.push(number);
    Ok(())
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
