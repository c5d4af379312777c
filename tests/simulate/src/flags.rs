//! The command line.

xflags::xflags! {
    /// Runs whole programs in virtual time under faults that a seed draws.
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
    }
}
