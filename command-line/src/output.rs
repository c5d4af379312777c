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

/// Checks, before the work, that each file can be one: its folder is there, and it is not a folder itself.
///
/// # Errors
///
/// A line about the first flag whose file cannot be one.
pub fn folders_are_there(flags: &[(&str, Option<&Path>)]) -> Result<(), String> {
    for (flag, path) in flags.iter().filter_map(|(flag, path)| Some((flag, (*path)?))) {
        if is_stdout(path) {
            continue;
        }
        let folder = match path.parent() {
            Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
            Some(folder) => folder,
            None => path,
        };
        if path.as_os_str().is_empty() || path.is_dir() {
            return Err(format!("{flag} takes a file, or - for stdout, not the folder `{}`", path.display()));
        }
        if !folder.is_dir() {
            return Err(format!("{flag}: there is no folder `{}`", folder.display()));
        }
    }
    Ok(())
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
    fn a_file_needs_its_folder() {
        let check = |path: &str| folders_are_there(&[("--log", None), ("--json", Some(Path::new(path)))]);
        for path in ["-", "a.json", "./a.json", "src/a.json"] {
            assert_eq!(check(path), Ok(()), "{path}");
        }
        for (path, said) in [
            ("no/such/a.json", "--json: there is no folder `no/such`"),
            ("src/lib.rs/a.json", "--json: there is no folder `src/lib.rs`"),
            ("src", "--json takes a file, or - for stdout, not the folder `src`"),
            ("", "--json takes a file, or - for stdout, not the folder ``"),
            ("/", "--json takes a file, or - for stdout, not the folder `/`"),
        ] {
            assert_eq!(check(path).unwrap_err(), said);
        }
    }

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
