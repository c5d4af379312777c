//! How a command can end.

/// The outcome of a command; failures that it did not foresee are errors instead.
#[derive(Debug)]
pub(crate) enum Outcome {
    Done,
    /// Done, apart from a part that could not be done here.
    Partly(String),
    /// Not done, and why.
    Skipped(String),
    /// It found something wrong and has printed it; the text is for the table of `ci`.
    Failed(String),
}

impl Outcome {
    /// Prints the findings; failed if there are some.
    pub(crate) fn of_findings(findings: &[String]) -> Outcome {
        for finding in findings {
            say!("{finding}");
        }
        match findings.len() {
            0 => Outcome::Done,
            1 => Outcome::Failed("1 finding".to_owned()),
            many => Outcome::Failed(format!("{many} findings")),
        }
    }
}

/// A tool that is not there, and the command that installs it for this project alone.
pub(crate) fn not_installed(tool: &str, package: &str, version: &str) -> String {
    format!(
        "{tool} is not installed: cargo install --locked --root target/tools {package} --version {version}"
    )
}
