//! Errors that end the run.

use std::{error::Error, fmt};

type BoxError = Box<dyn Error + Send + Sync>;

/// An error that ends the run, as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fatal {
    /// The input is wrong: the flags, the store, the first page.
    Input(String),
    /// The run itself broke.
    Broken(String),
}

impl Fatal {
    /// Returns the error that was boxed on its way.
    pub(crate) fn from_error(error: BoxError) -> Self {
        error.downcast().map_or_else(|other| Self::Broken(other.to_string()), |fatal| *fatal)
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(line) | Self::Broken(line) => f.write_str(line),
        }
    }
}

impl Error for Fatal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fatal_error_survives_its_box() {
        let boxed: BoxError = Fatal::Input("no".into()).into();
        assert_eq!(Fatal::from_error(boxed), Fatal::Input("no".into()));
        assert_eq!(Fatal::from_error("other".into()), Fatal::Broken("other".into()));
    }
}
