//! The command line.

use std::ffi::OsString;

use crate::servers::Server;

xflags::xflags! {
    /// The project's commands. Each prints what it runs; a tool that is missing is a visible SKIPPED.
    cmd xtask {
        /// Builds the application examples/harvest in release and becomes it; all arguments are its own. With `--store postgres`
        /// it has a private server, and with `--workers 4 [--queue postgres|nats]` four processes share a queue and a quota
        /// in private servers.
        cmd demo {
            /// Arguments of the application, dashes and all.
            repeated args: OsString
        }
        /// Builds the application examples/crawl in release and becomes it; all arguments are its own. Without a URL it
        /// crawls the documentation of the standard library, served on this machine.
        cmd crawl {
            /// Arguments of the application, dashes and all.
            repeated args: OsString
        }
        /// Runs the tests: virtual tier, documentation, real tier; ends with one table.
        cmd test {
            /// Only this package; `retry` means `evenkeel-retry`.
            optional package: String
            /// Leaves the real tier out.
            optional --quick
            /// A server that cannot be had is a failure; server programs may be downloaded.
            optional --require-servers
        }
        /// Runs all checks, whatever fails, and ends with one table.
        cmd ci {
            /// Leaves a step out; can be given several times.
            repeated --skip step: String
            /// As for `test`.
            optional --require-servers
        }
        /// Checks formatting and lints.
        cmd lint {
            /// Formats the code and applies the changes that the lints propose.
            optional --fix
        }
        /// Measures Evenkeel and its peers side by side, in release; prints the ratio to the best peer.
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
            /// Measures aiohttp, httpx and asyncpg beside it, in an environment below target/.
            optional --python
            /// Starts PostgreSQL, and measures the rows that need it, too.
            optional --postgres
            /// Starts NATS, an old and a new one, and measures the rows that need it, too.
            optional --nats
            /// As `--postgres`, and builds other queues in PostgreSQL, and measures them beside ours.
            optional --queues
        }
        /// Makes target/evenkeel/report.html of the committed results, and their tables and pictures in README.md and others.
        cmd report {
            /// Shows the page in a browser.
            optional --open
        }
        /// Puts ours and the peers to the rules of evenkeel-tck; prints the scoreboard.
        cmd conformance {
            /// Only the rules of this pattern: retry.
            optional pattern: String
            /// Only this implementation, and all that is known of what it breaks.
            optional --peer name: String
            /// The rules of pipelines on PostgreSQL and NATS servers, which it starts, in real time.
            optional --real
            /// As `--real`, and builds other queues on these servers, and tries them as well.
            optional --queues
            /// Only the rule with this id, on the real servers.
            optional --rule id: String
            /// Writes tests/scoreboard.json and tests/scoreboard.md, or those of the real servers.
            optional --save
        }
        /// Builds the documentation of the published crates as docs.rs does; a warning is an error.
        cmd docs {
            /// Shows it in a browser.
            optional --open
        }
        /// Checks every published crate with no feature, each, all, and all but each.
        cmd features {}
        /// Packages the published crates and builds them from the packages.
        cmd package {}
        /// Checks licences, sources, banned crates and known advisories of the dependencies.
        cmd deny {}
        /// Checks that nothing we ship needs a newer Rust than we declare, and builds on that Rust.
        cmd msrv {}
        /// Checks the spelling.
        cmd typos {}
        /// Checks the project's own rules.
        cmd tidy {}
        /// Measures which lines the tests reach.
        cmd coverage {
            /// Shows the report in a browser.
            optional --open
        }
        /// Runs whole programs in virtual time under faults that a seed draws, in release.
        cmd simulate {
            /// pipeline, limits or harvest; all of them if none is named.
            optional subject: String
            /// The number of seeds: 1000 by default.
            optional --seeds number: u64
            /// The first seed: 1 by default.
            optional --from seed: u64
            /// Runs each seed twice, and compares the traces.
            optional --twice
            /// Ends at the first failure, and does not make it smaller.
            optional --first
            /// Prints the trace of the first seed, or of its smallest script that fails.
            optional --trace
            /// Plants faults in a copy of our crates, and looks for each of them in 2000 seeds.
            optional --mutants
        }
        /// Runs the long tests in release and prints their figures.
        cmd soak {
            /// Only tests with this in their name.
            optional filter: String
        }
        /// The servers of the real tier.
        cmd servers {
            /// Starts them, downloads them where needed, and prints their addresses.
            cmd up {
                /// postgres, postgres18, postgres18_tls, redis, valkey, nats, pgbouncer; all if none is named.
                repeated servers: Server
            }
            /// Stops them.
            cmd down {
                /// postgres, postgres18, postgres18_tls, redis, valkey, nats, pgbouncer; all if none is named.
                repeated servers: Server
            }
            /// Prints how they are.
            cmd status {}
        }
    }
}
