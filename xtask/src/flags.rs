//! The command line. The first sentence of each command is its line in the help.

use std::{ffi::OsString, path::PathBuf, str::FromStr};

use command_line::{Number, one_of};

use crate::servers::Server;

type SeedCount = Number<1, { u64::MAX }>;
type Seed = Number<0, { u64::MAX }>;

xflags::xflags! {
    /// The project's commands. Each prints what it runs; a tool that is missing is a visible SKIPPED.
    cmd xtask {
        /// Shows the crates at work: a harvest of an HTTP API. Builds examples/harvest and becomes it; all arguments
        /// are its own. With `--store postgres` it has a private server, and with `--workers 4 [--queue postgres|nats]` four
        /// processes share a queue and a quota in private servers.
        cmd demo {
            /// Arguments of the application, dashes and all.
            repeated args: OsString
        }
        /// Finds the broken links of a site. Builds examples/crawl and becomes it; all arguments are its own.
        /// Without a URL it crawls the documentation of the standard library, served on this machine.
        cmd crawl {
            /// Arguments of the application, dashes and all.
            repeated args: OsString
        }
        /// Runs the tests and ends with one table. Virtual tier, documentation, real tier.
        cmd test {
            /// Only this package; `retry` means `evenkeel-retry`.
            optional package: String
            /// Leaves the real tier out.
            optional --quick
            /// A server that cannot be had is a failure; server programs may be downloaded.
            optional --require-servers
        }
        /// Runs all checks and ends with one table. It goes on whatever fails.
        cmd ci {
            /// Leaves a step out; can be given several times.
            repeated --skip step: String
            /// As for `test`.
            optional --require-servers
        }
        /// Checks formatting (rustfmt) and lints (clippy).
        cmd lint {
            /// Formats the code and applies the changes that the lints propose.
            optional --fix
        }
        /// Measures Evenkeel and its peers side by side. In release; prints the ratio to the best peer.
        cmd bench {
            /// Only rows whose id contains this.
            optional filter: String
            /// Fewer and shorter rounds: a look, not a figure to quote.
            optional --quick
            /// Counts instructions and clock reads under valgrind, and no time.
            optional --instructions
            /// Measures the objects that can be inspected with the feature `inspect`, and nothing else.
            optional --inspect
            /// Updates the committed results of this machine, a folder in benches/results, as well.
            optional --save
            /// Writes the results to this file as JSON; - is stdout, and the table goes to stderr then.
            optional --out file: PathBuf
            /// Measures aiohttp, httpx and asyncpg beside it, in an environment below target/.
            optional --python
            /// Starts PostgreSQL, and measures the rows that need it, too.
            optional --postgres
            /// Starts NATS, an old and a new one, and measures the rows that need it, too.
            optional --nats
            /// As `--postgres`, and builds other queues in PostgreSQL, and measures them beside ours.
            optional --queues
        }
        /// Makes a page of the committed results. It is target/evenkeel/report.html; also makes their tables and pictures in
        /// README.md and others.
        cmd report {
            /// Shows the page in a browser.
            optional --open
        }
        /// Puts ours and the peers to the rules of evenkeel-tck. Prints the scoreboard.
        cmd conformance {
            /// Only the rules of this pattern: retry.
            optional pattern: PatternName
            /// Only this implementation, and all that is known of what it breaks.
            optional --peer name: String
            /// The rules of pipelines on PostgreSQL and NATS servers, which it starts, in real time.
            optional --real
            /// As `--real`, and builds other queues on these servers, and tries them as well.
            optional --queues
            /// Only the rule with this id, on the real servers.
            optional --rule id: String
            /// Libraries of Python, Node and Go, installed below target/, through the protocol.
            optional --languages
            /// Writes tests/scoreboard.json and tests/scoreboard.md, or those of the real servers.
            optional --save
        }
        /// Builds the documentation as docs.rs does. That of the published crates; a warning is an error.
        cmd docs {
            /// Shows it in a browser.
            optional --open
        }
        /// Checks the book in docs/book, and builds it. By mdBook, which is installed below target/ at the first time.
        cmd book {
            /// Only checks listings and links, which needs no mdBook.
            optional --check
            /// Shows it in a browser.
            optional --open
            /// Serves it on this machine, and builds it again after each change.
            optional --serve
            /// Follows the first two chapters in empty projects: builds each step, and makes its calls.
            optional --follow
            /// For mdBook: reads pages, and writes them with all that they include.
            optional --preprocess
        }
        /// Checks the published crates as users get them. Packages and unpacks them; they compile with no feature, each alone,
        /// and all.
        cmd package {
            /// Only this package; `retry` means `evenkeel-retry`.
            optional package: String
            /// Also compiles them with all features but each, and runs the doc tests with all features, none, and each alone.
            optional --all
        }
        /// Pastes the first lines of each README into an empty project. They have to build and run, and to print what they say.
        cmd readme {
            /// Only that of this package; `retry` means `evenkeel-retry`, and `root` the front page.
            optional package: String
            /// Also takes away each feature and dependency that a README has an answer for, and looks for what rustc says then.
            optional --answers
        }
        /// Tells what a release would break, by cargo-semver-checks. Builds it once below target/.
        cmd semver {
            /// Compares with this revision of git; with the last release if none is given.
            optional revision: String
        }
        /// Checks licences, sources and advisories of the dependencies. And that no banned crate is among them.
        cmd deny {}
        /// Checks that our oldest Rust is enough. Nothing that we ship may need a newer one than we declare; builds on that Rust.
        cmd msrv {}
        /// Checks that the oldest dependencies that we allow are enough. Builds each published library with the version that
        /// each of its requirements begins with. It takes minutes: run it before a release.
        cmd floor {
            /// Only this package; `retry` means `evenkeel-retry`.
            optional package: String
        }
        /// Checks the spelling. By typos, which is installed below target/ at the first time.
        cmd typos {}
        /// Checks the project's own rules.
        cmd tidy {}
        /// Measures which lines the tests reach.
        cmd coverage {
            /// Shows the report in a browser.
            optional --open
        }
        /// Runs whole programs under seeded faults. In virtual time, in release.
        cmd simulate {
            /// pipeline, limits or harvest; all of them if none is named.
            optional subject: Subject
            /// The number of seeds: 1000 by default.
            optional --seeds number: SeedCount
            /// The first seed: 1 by default.
            optional --from seed: Seed
            /// Runs each seed twice, and compares the traces.
            optional --twice
            /// Ends at the first failure, and does not make it smaller.
            optional --first
            /// Prints the trace of the first seed, or of its smallest script that fails.
            optional --trace
            /// Plants faults in a copy of our crates, and looks for each of them in 2000 seeds.
            optional --mutants
        }
        /// Runs the long tests and prints their figures. Optimised, on a quiet machine.
        cmd soak {
            /// Only tests with this in their name.
            optional filter: String
        }
        /// Starts and stops the servers of the real tier.
        cmd servers {
            /// Starts them and prints their addresses. Downloads them where needed.
            cmd up {
                /// postgres, postgres18, postgres18_tls, redis, valkey, nats, nats214, pgbouncer; all if none is named.
                repeated servers: Server
            }
            /// Stops them.
            cmd down {
                /// postgres, postgres18, postgres18_tls, redis, valkey, nats, nats214, pgbouncer; all if none is named.
                repeated servers: Server
            }
            /// Prints how they are.
            cmd status {}
        }
    }
}

/// A pattern of the reference suite: its specification has that name.
#[derive(Debug)]
pub(crate) struct PatternName(pub(crate) &'static str);

impl PatternName {
    const ALL: [&str; 9] =
        ["inspect", "limit", "pipeline", "pool", "retry", "shutdown", "stream", "task", "testkit"];
}

impl FromStr for PatternName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        one_of(&text.to_lowercase(), &Self::ALL).map(Self)
    }
}

/// A program that is simulated.
#[derive(Debug)]
pub(crate) struct Subject(pub(crate) &'static str);

impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        one_of(text, &["pipeline", "limits", "harvest"]).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, ffi::OsString, fs, path::Path};

    use command_line::{Program, Refused, parse};

    use super::{PatternName, Xtask};

    fn line(line: &str) -> Result<Xtask, Refused> {
        let words = line.split_whitespace().map(OsString::from).collect();
        parse(Program::new("cargo xtask", "0.1.0"), words, Xtask::from_vec)
    }

    #[test]
    fn the_help_fits_on_a_screen() {
        let Err(Refused::NoCommand(help)) = line("") else { panic!() };
        assert!(help.lines().count() <= 24, "{}\n{help}", help.lines().count());
        let widest = help.lines().max_by_key(|line| line.chars().count()).unwrap();
        assert!(widest.chars().count() <= 80, "{widest}");
        assert!(help.starts_with("cargo xtask COMMAND\n  demo         Shows the crates at work"), "{help}");
        let Err(Refused::Shown(asked)) = line("help") else { panic!() };
        assert_eq!(asked, help);
    }

    #[test]
    fn wrong_lines_are_answered_before_anything_runs() {
        for (words, said) in [
            ("tset", "there is no command `tset`; did you mean `test`?"),
            ("fmt", "there is no command `fmt`; did you mean `lint`?"),
            ("clippy", "there is no command `clippy`; did you mean `lint`?"),
            ("benchmark", "there is no command `benchmark`; did you mean `bench`?"),
            ("doc", "there is no command `doc`; did you mean `docs`?"),
            ("bench --quik", "there is no flag --quik; did you mean --quick?"),
            (
                "ci --quick",
                "there is no flag --quick; it is a flag of `cargo xtask test` and `cargo xtask bench`",
            ),
            (
                "test retry limit",
                "`limit` is one word too many: cargo xtask test [PACKAGE] [--quick] [--require-servers]",
            ),
            ("simulate --seeds x", "--seeds takes a number from 1, not `x`"),
            ("simulate --seeds=0", "--seeds takes a number from 1, not `0`"),
            (
                "simulate limit",
                "subject takes pipeline, limits or harvest, not `limit`; did you mean `limits`?",
            ),
            ("bench --out", "--out has no value"),
        ] {
            let Err(Refused::Wrong(line, _)) = line(words) else { panic!("{words}") };
            assert_eq!(line, said, "{words}");
        }
        let Err(Refused::Wrong(line, _)) = line("servers up postgre") else { panic!() };
        assert!(line.ends_with("not `postgre`; did you mean `postgres`?"), "{line}");
    }

    #[test]
    fn each_specification_is_a_pattern() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let files = fs::read_dir(root.join("crates/evenkeel-tck/spec")).unwrap();
        let names =
            files.map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().to_lowercase());
        let patterns = PatternName::ALL.map(str::to_owned).into();
        // The protocol has no rules.
        assert_eq!(names.filter(|name| name != "protocol").collect::<BTreeSet<_>>(), patterns);
    }
}
