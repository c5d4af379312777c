//! A directory for one test.

use std::{env, fs, path::PathBuf, process};

pub(crate) struct Workdir(PathBuf);

impl Workdir {
    /// Makes a directory; each test makes two at most, the browser's and its own.
    pub(crate) fn new() -> Self {
        let names = (0..).map(|number| format!("evenkeel-inspect-{}-{number}", process::id()));
        let mut dirs = names.map(|name| env::temp_dir().join(name));
        Self(dirs.find(|dir| fs::create_dir(dir).is_ok()).unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Workdir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
