//! The title of a pool, and its place in the registry of evenkeel-inspect.

use std::{borrow::Cow, panic::Location, sync::Weak};

use evenkeel_inspect::{Inspect, Registration, register};

/// The title of a pool: the name that the program gave it, and the place at which it was built.
#[derive(Clone, Debug)]
pub(crate) struct Title {
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) place: &'static Location<'static>,
}

impl Title {
    #[track_caller]
    pub(crate) fn here(name: Option<Cow<'static, str>>) -> Self {
        Self { name, place: Location::caller() }
    }
}

/// A pool in the registry.
#[derive(Debug)]
pub(crate) struct Inspection {
    pub(crate) title: Title,
    _registration: Registration,
}

impl Inspection {
    pub(crate) fn new(pool: Weak<impl Inspect>, title: Title) -> Self {
        Self { title, _registration: register(pool) }
    }
}
