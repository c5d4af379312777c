//! The command line.

use command_line::Number;

type SeedCount = Number<1, { u64::MAX }>;
type Seed = Number<0, { u64::MAX }>;

xflags::xflags! {
    /// Runs whole programs in virtual time under faults that a seed draws.
    cmd simulate {
        /// pipeline, limits or harvest; all of them if none is named.
        optional subject: String
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
    }
}
