//! The outcome of one URL.

use std::{fmt, str::FromStr};

use reqwest::Url;

use crate::{
    page::{Document, Link},
    scope::Role,
};

/// A URL that is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The position in the queue.
    pub(crate) position: i64,
    pub(crate) id: i64,
    pub(crate) url: Url,
    pub(crate) role: Role,
    pub(crate) depth: i64,
    /// The validators of the answer that the store has, if it was read for the same role.
    pub(crate) validators: Validators,
}

/// The headers by which a server recognizes that nothing has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Validators {
    pub(crate) etag: Option<String>,
    pub(crate) modified: Option<String>,
}

/// The outcome of a URL.
#[derive(Debug)]
pub(crate) enum Outcome {
    Loaded(Loaded),
    /// The content in the store is still right.
    NotModified,
    Redirect(Link),
    /// robots.txt forbids to ask for it.
    Disallowed,
    Failed(Problem),
}

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) validators: Validators,
    /// The number of bytes that were read.
    pub(crate) bytes: i64,
    /// `None` if it is no HTML.
    pub(crate) document: Option<Document>,
}

/// The reason why a link is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) kind: Kind,
    pub(crate) detail: String,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

/// The kind of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Status,
    Fragment,
    Redirect,
    Timeout,
    Tls,
    TooLarge,
    Unreachable,
    Robots,
}

impl Kind {
    pub(crate) const ALL: [Self; 8] = [
        Self::Status,
        Self::Fragment,
        Self::Redirect,
        Self::Timeout,
        Self::Tls,
        Self::TooLarge,
        Self::Unreachable,
        Self::Robots,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Fragment => "fragment",
            Self::Redirect => "redirect",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::TooLarge => "too large",
            Self::Unreachable => "unreachable",
            Self::Robots => "robots",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| format!("{text:?} is no problem"))
    }
}
