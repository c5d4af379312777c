//! The destination of a report.

use std::{
    fs::File,
    io::{self, ErrorKind, Write},
    path::Path,
};

/// A file, or stdout, which a path of `-` stands for.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// The lines for people go to stderr then.
    Stdout,
    /// A file.
    File(File),
}

impl Output {
    /// Creates the file now, so that a bad path fails before the work.
    ///
    /// # Errors
    ///
    /// The file cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        if is_stdout(path) { Ok(Self::Stdout) } else { File::create(path).map(Self::File) }
    }
}

impl Write for Output {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match self {
            // The reader has seen enough.
            Self::Stdout => match io::stdout().write(text) {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(text.len()),
                written => written,
            },
            Self::File(file) => file.write(text),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout => match io::stdout().flush() {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
                flushed => flushed,
            },
            Self::File(file) => file.flush(),
        }
    }
}

/// Whether a path stands for stdout.
#[must_use]
pub fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Checks that stdout is the destination of one flag at most, and returns whether it is.
///
/// # Errors
///
/// A line with two of the flags.
pub fn one_at_most_is_stdout(flags: &[(&str, Option<&Path>)]) -> Result<bool, String> {
    let mut on_stdout = flags.iter().filter(|(_, path)| path.is_some_and(is_stdout));
    match (on_stdout.next(), on_stdout.next()) {
        (Some((one, _)), Some((other, _))) => {
            Err(format!("{one} and {other} cannot both be written to stdout"))
        }
        (one, _) => Ok(one.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dash_is_stdout_and_one_report_goes_there() {
        let dash = Some(Path::new("-"));
        let other = Some(Path::new("./-"));
        assert!(matches!(Output::create(Path::new("-")), Ok(Output::Stdout)));
        assert_eq!(one_at_most_is_stdout(&[("--json", dash), ("--report", None)]), Ok(true));
        assert_eq!(one_at_most_is_stdout(&[("--json", other), ("--report", None)]), Ok(false));
        assert_eq!(
            one_at_most_is_stdout(&[("--json", dash), ("--log", other), ("--report", dash)]).unwrap_err(),
            "--json and --report cannot both be written to stdout"
        );
    }
}
