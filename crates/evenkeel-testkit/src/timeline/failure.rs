//! `FailureHint`: prints the last part of the timeline of a world that fails, and writes the rest beside it.

use std::{
    env, fs, io,
    panic::Location,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use super::{picture::Picture, recorder::Recorder, svg, text, words};

/// The number of events that are printed.
const EVENTS: usize = 20;

/// Prints if the thread panics while it lives.
#[derive(Debug)]
pub(crate) struct FailureHint {
    recorder: Arc<Recorder>,
    place: &'static Location<'static>,
}

impl FailureHint {
    pub(crate) fn new(recorder: Arc<Recorder>, place: &'static Location<'static>) -> Self {
        Self { recorder, place }
    }

    #[expect(clippy::print_stderr, reason = "the test harness shows it beside the panic")]
    fn print(&self) {
        let mut picture = Picture::clone(&self.recorder.picture());
        if picture.is_empty() {
            // A test without tasks and waits has nothing to be told.
            return;
        }
        let test = thread::current().name().filter(|name| *name != "main").map(str::to_owned);
        let name = test.unwrap_or_else(|| words::place(self.place));
        picture.title.clone_from(&name);
        eprintln!("timeline of {name} ({}):", text::summary(&picture));
        eprint!("{}", text::write_end(&picture, EVENTS));
        match write(&name, &svg::write(&picture, 800)) {
            Ok(path) => eprintln!("all of it: {}", path.display()),
            Err(error) => eprintln!("all of it could not be written: {error}"),
        }
    }
}

impl Drop for FailureHint {
    fn drop(&mut self) {
        if thread::panicking() {
            self.print();
        }
    }
}

/// Writes a file into a folder of cargo's target directory, and returns its path.
fn write(test: &str, svg: &str) -> io::Result<PathBuf> {
    let program = env::current_exe()?;
    let folder = target(&program).join("timelines");
    fs::create_dir_all(&folder)?;
    let program = program.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    // Cargo adds a hash to the name of a test binary.
    let program = program.rsplit_once('-').map_or(&*program, |(name, _)| name);
    let path = folder.join(format!("{}.svg", file_name(&format!("{program}-{test}"))));
    fs::write(&path, svg)?;
    Ok(path)
}

/// Returns cargo's target directory, which has a tag; or else the folder of the program.
fn target(program: &Path) -> &Path {
    let has_tag = |folder: &&Path| folder.join("CACHEDIR.TAG").exists();
    let folder = program.parent().unwrap_or(program);
    folder.ancestors().find(has_tag).unwrap_or(folder)
}

/// Returns a name that each system accepts for a file.
fn file_name(name: &str) -> String {
    let safe = |char: char| if char.is_alphanumeric() || matches!(char, '-' | '_') { char } else { '-' };
    name.chars().take(120).map(safe).collect()
}
