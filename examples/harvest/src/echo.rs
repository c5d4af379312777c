//! The echo of control characters by the terminal, which is switched off while bars are shown.
//!
//! A bar fills its line, so the `^C` of a terminal begins a new one: whoever moves the cursor up over the bars to clear them is
//! one line short then, and a stale one stays on the screen.

/// Switches the echo off, and on again when it is dropped.
#[derive(Debug)]
pub(crate) struct Quiet {
    #[cfg(unix)]
    before: Option<rustix::termios::Termios>,
}

#[cfg(unix)]
impl Quiet {
    pub(crate) fn new() -> Self {
        use rustix::{
            io::Result,
            termios::{LocalModes, Termios, tcgetattr},
        };

        let quieten = || -> Result<Option<Termios>> {
            let before = tcgetattr(std::io::stderr())?;
            if !before.local_modes.contains(LocalModes::ECHOCTL) {
                return Ok(None);
            }
            let mut quiet = before.clone();
            quiet.local_modes.remove(LocalModes::ECHOCTL);
            set(&quiet)?;
            Ok(Some(before))
        };
        // Without a terminal there is no echo.
        Self { before: quieten().ok().flatten() }
    }
}

#[cfg(unix)]
impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // The terminal may be gone.
            let _ = set(before);
        }
    }
}

/// Sets the modes of the terminal, if this process is in its foreground: a job in the background would be stopped for that.
#[cfg(unix)]
fn set(modes: &rustix::termios::Termios) -> rustix::io::Result<()> {
    use rustix::{
        process::getpgrp,
        termios::{OptionalActions, tcgetpgrp, tcsetattr},
    };

    let terminal = std::io::stderr();
    if tcgetpgrp(&terminal)? == getpgrp() {
        tcsetattr(&terminal, OptionalActions::Now, modes)?;
    }
    Ok(())
}

#[cfg(not(unix))]
impl Quiet {
    pub(crate) const fn new() -> Self {
        Self {}
    }
}
