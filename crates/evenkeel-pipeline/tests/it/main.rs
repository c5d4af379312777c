//! The promises of evenkeel-pipeline, one module each.

mod traits;
