//! The implementation under test, in the form that the four patterns share.
//!
//! Each pattern has its own adapter trait, settings and capabilities, because an adapter is written against one
//! pattern. The steps around them are the same and live here: ask for each capability that the settings need, then
//! configure, and turn a refusal into a verdict.

use std::{
    fmt::Display,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::{AdapterError, Verdict, rule::Checked};

/// An adapter of any pattern: implemented once for each pattern's `dyn Adapter`.
pub(crate) trait Subject {
    type Capability: Display;
    type Settings;
    type Configured;

    fn supports(&self, capability: Self::Capability) -> Result<(), &'static str>;

    /// The capabilities without which an implementation cannot have these settings.
    fn needed(settings: &Self::Settings) -> impl Iterator<Item = Self::Capability>;

    fn configure(&self, settings: &Self::Settings) -> Result<Self::Configured, AdapterError>;
}

/// Fails with [`Verdict::Unsupported`] where the implementation lacks a capability that the rule is about.
pub(crate) fn needs<S: Subject + ?Sized>(subject: &S, capability: S::Capability) -> Checked {
    let name = capability.to_string();
    subject.supports(capability).map_err(|why| Verdict::Unsupported(format!("{name}: {why}")))
}

/// Configures the implementation, with settings that every implementation should take.
pub(crate) fn configure<S: Subject + ?Sized>(subject: &S, settings: &S::Settings) -> Checked<S::Configured> {
    needs_all(subject, settings)?;
    Ok(subject.configure(settings)?)
}

/// Configures the implementation with senseless settings. Returns `None` if it refuses them, which the rules accept.
pub(crate) fn unless_refused<S: Subject + ?Sized>(
    subject: &S,
    settings: &S::Settings,
) -> Checked<Option<S::Configured>> {
    needs_all(subject, settings)?;
    // A constructor that panics refuses.
    match catch_unwind(AssertUnwindSafe(|| subject.configure(settings))) {
        Ok(Ok(configured)) => Ok(Some(configured)),
        Ok(Err(AdapterError::NotExpressible(what))) => Err(Verdict::NotExpressible(what.to_owned())),
        Ok(Err(AdapterError::Refused(_))) | Err(_) => Ok(None),
    }
}

/// Returns whether the implementation has every capability that these settings need.
pub(crate) fn has<S: Subject + ?Sized>(subject: &S, settings: &S::Settings) -> bool {
    needs_all(subject, settings).is_ok()
}

fn needs_all<S: Subject + ?Sized>(subject: &S, settings: &S::Settings) -> Checked {
    S::needed(settings).try_for_each(|capability| needs(subject, capability))
}

/// The capabilities of a list whose condition holds.
pub(crate) fn where_needed<C, const N: usize>(needed: [(bool, C); N]) -> impl Iterator<Item = C> {
    needed.into_iter().filter_map(|(is_needed, capability)| is_needed.then_some(capability))
}

/// Declares the capabilities of one pattern, each with the name that reports show.
macro_rules! capabilities {
    ($(#[$docs:meta])* pub enum Capability { $($(#[$doc:meta])* $capability:ident = $name:literal,)+ }) => {
        $(#[$docs])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Capability { $($(#[$doc])* $capability,)+ }

        impl std::fmt::Display for Capability {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $(Self::$capability => $name,)+ })
            }
        }
    };
}
pub(crate) use capabilities;

/// Implements [`Subject`] for the `dyn Adapter` of one pattern; the last name is the method that configures.
macro_rules! subject {
    ($configured:ty, $method:ident) => {
        impl $crate::subject::Subject for dyn Adapter + '_ {
            type Capability = Capability;
            type Settings = Settings;
            type Configured = $configured;

            fn supports(&self, capability: Capability) -> Result<(), &'static str> {
                Adapter::supports(self, capability)
            }

            fn needed(settings: &Settings) -> impl Iterator<Item = Capability> {
                settings.needs()
            }

            fn configure(&self, settings: &Settings) -> Result<$configured, $crate::AdapterError> {
                self.$method(settings)
            }
        }
    };
}
pub(crate) use subject;
