//! The errors of a database as those of a source.

use evenkeel_postgres::Error;

use crate::SourceError;

/// The classes of errors that trying again does not mend: a wrong login, a table or a column that is missing, a right that
/// is missing.
const PERMANENT: [&str; 4] = ["28", "3D", "3F", "42"];

pub(super) fn source_error(error: Error) -> SourceError {
    let is_permanent = match &error {
        Error::Config(_) | Error::Build(_) | Error::Decode(_) | Error::Encode(..) | Error::Unsupported(_) => {
            true
        }
        error => {
            error.is_closed()
                || error
                    .code()
                    .is_some_and(|code| PERMANENT.iter().any(|class| code.code().starts_with(class)))
        }
    };
    if is_permanent { SourceError::permanent(error) } else { SourceError::transient(error) }
}
