//! The command line.

use std::path::PathBuf;

use command_line::Number;

type Milliseconds = Number<0, { u64::MAX }>;

xflags::xflags! {
    /// Evenkeel and its peers, side by side.
    cmd evenkeel-bench {
        /// Measures, and prints the ratio to the best peer.
        default cmd measure {
            /// Only rows whose id contains this.
            optional filter: String
            /// Fewer and shorter rounds: a look, not a figure to quote.
            optional --quick
            /// Counts instructions and clock reads under callgrind, and no time.
            optional --instructions
            /// Updates the committed results as well: a folder for each machine in this folder.
            optional --save folder: PathBuf
            /// Where the results are written; - is stdout, and the table goes to stderr then.
            optional --out file: PathBuf
            /// Lists the rows and measures nothing.
            optional --list
        }
        /// Runs the server of the rows that make calls.
        cmd serve {
            /// Milliseconds that an answer takes.
            required latency: Milliseconds
        }
        /// Makes a page, tables and pictures of the committed results.
        cmd report {
            /// The folder of the committed results; the tables and pictures are written there.
            required results: PathBuf
            /// Where the page is written; - is stdout.
            required page: PathBuf
        }
    }
}
