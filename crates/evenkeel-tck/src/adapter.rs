//! The implementation under test, in the form that all patterns share.
//!
//! A pattern is named by its settings: [`Pattern`] ties them to the capabilities that an implementation may lack, and to
//! the type of a configured implementation. A rule asks for each capability that its settings need, then configures the
//! implementation, and turns a refusal into a verdict.

use std::{
    fmt::{self, Display},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
};

use evenkeel_testkit::World;
use tokio::runtime::Runtime;

use crate::{Verdict, verdict::Checked};

/// A pattern, named by its settings: [`retry::Settings`](crate::retry::Settings) stands for retry.
pub trait Pattern: 'static {
    /// A feature that an implementation of the pattern may have.
    type Capability: Display;

    /// A configured implementation.
    type Configured;

    /// The capabilities without which an implementation cannot have these settings.
    fn needs(&self) -> impl Iterator<Item = Self::Capability>;
}

/// Puts an implementation behind the form that the rules of a pattern know.
///
/// An adapter adds nothing of its own: it configures the implementation as its documentation shows, and hands back
/// the implementation's own futures. The adapter withholds each capability that the implementation lacks.
///
/// # Examples
/// One for each pattern: [`retry::SUITE`](crate::retry::SUITE), [`task::SUITE`](crate::task::SUITE),
/// [`shutdown::SUITE`](crate::shutdown::SUITE), [`limit::SUITE`](crate::limit::SUITE),
/// [`stream::SUITE`](crate::stream::SUITE), [`pool::SUITE`](crate::pool::SUITE),
/// [`pipeline::SUITE`](crate::pipeline::SUITE), [`inspect::SUITE`](crate::inspect::SUITE),
/// [`testkit::SUITE`](crate::testkit::SUITE).
pub trait Adapter<S: Pattern>: Send + Sync {
    /// Returns whether the implementation has this capability.
    ///
    /// # Errors
    /// Why not, or what it has instead, in a few words.
    fn supports(&self, capability: S::Capability) -> Result<(), &'static str>;

    /// Configures the implementation; within a runtime.
    ///
    /// # Errors
    /// If the implementation cannot express these settings, or rejects them.
    fn configure(&self, settings: &S) -> Result<S::Configured, AdapterError>;
}

/// Why an adapter cannot configure its implementation as asked.
///
/// # Examples
/// As in [`retry::SUITE`](crate::retry::SUITE).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdapterError {
    /// The implementation cannot express these settings; the text names them.
    NotExpressible(&'static str),
    /// The implementation rejected the settings. A constructor that panics counts as this, too.
    Refused(String),
    /// The verdict of an implementation in another process.
    Verdict(Verdict),
}

/// A future of an implementation.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A configured group or program, which can run many times: it takes the work of a rule, and returns the outcome.
///
/// Its future is `Send`: rules run a group in a task of another one, and a program on a thread of its own.
pub struct Configured<I, O>(Arc<dyn Fn(I) -> BoxFuture<'static, O> + Send + Sync>);

impl<I, O> Configured<I, O> {
    /// An implementation that runs work with `run`, which returns the implementation's own future, not yet polled.
    ///
    /// # Examples
    /// A group that runs its tasks in turn:
    /// ```
    /// use evenkeel_tck::{Configured, task::{Body, Outcome}};
    ///
    /// let in_turn: Configured<Body, Outcome> = Configured::new(|body: Body| async move {
    ///     for task in body.tasks() {
    ///         task.alone().await?;
    ///     }
    ///     Ok(())
    /// });
    /// ```
    pub fn new<F, Fut>(run: F) -> Self
    where
        F: Fn(I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Into<O>> + Send + 'static,
    {
        Self(Arc::new(move |work| {
            let outcome = run(work);
            Box::pin(async move { outcome.await.into() })
        }))
    }

    pub(crate) fn call(&self, work: I) -> BoxFuture<'static, O> {
        (self.0)(work)
    }
}

impl<I, O> Clone for Configured<I, O> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<I, O> fmt::Debug for Configured<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configured").finish_non_exhaustive()
    }
}

/// The verdict for settings that every implementation should accept.
impl From<AdapterError> for Verdict {
    fn from(error: AdapterError) -> Self {
        match error {
            AdapterError::NotExpressible(what) => Self::NotExpressible(what.to_owned()),
            AdapterError::Refused(why) => {
                Self::fail("that it takes ordinary settings", format_args!("refused: {why}"))
            }
            AdapterError::Verdict(verdict) => verdict,
        }
    }
}

/// Fails with [`Verdict::Unsupported`] where the implementation lacks a capability that the rule is about.
pub(crate) fn needs<S: Pattern>(subject: &dyn Adapter<S>, capability: S::Capability) -> Checked {
    let name = capability.to_string();
    subject.supports(capability).map_err(|why| Verdict::Unsupported(format!("{name}: {why}")))
}

/// Fails as [`needs`] where the implementation lacks a capability that the settings need.
pub(crate) fn needs_all<S: Pattern>(subject: &dyn Adapter<S>, settings: &S) -> Checked {
    settings.needs().try_for_each(|capability| needs(subject, capability))
}

/// Returns whether the implementation has every capability that these settings need.
pub(crate) fn has<S: Pattern>(subject: &dyn Adapter<S>, settings: &S) -> bool {
    needs_all(subject, settings).is_ok()
}

/// Configures the implementation, with settings that every implementation should take.
pub(crate) fn configure<S: Pattern>(subject: &dyn Adapter<S>, settings: &S) -> Checked<S::Configured> {
    needs_all(subject, settings)?;
    Ok(subject.configure(settings)?)
}

/// As [`configure`], for a rule that makes its own runtime: an implementation may need one.
pub(crate) fn configure_on<S: Pattern>(
    runtime: &Runtime,
    subject: &dyn Adapter<S>,
    settings: &S,
) -> Checked<S::Configured> {
    let _entered = runtime.enter();
    configure(subject, settings)
}

/// Fails as [`configure`] does, for a rule that makes its own worlds.
pub(crate) fn configurable<S: Pattern>(subject: &dyn Adapter<S>, settings: &S) -> Checked {
    World::run(async |_| configure(subject, settings).map(drop))
}

/// Configures the implementation with senseless settings. Returns `None` if it refuses them, which the rules accept.
pub(crate) fn unless_refused<S: Pattern>(
    subject: &dyn Adapter<S>,
    settings: &S,
) -> Checked<Option<S::Configured>> {
    needs_all(subject, settings)?;
    // A constructor that panics refuses.
    match catch_unwind(AssertUnwindSafe(|| subject.configure(settings))) {
        Ok(Ok(configured)) => Ok(Some(configured)),
        Ok(Err(AdapterError::NotExpressible(what))) => Err(Verdict::NotExpressible(what.to_owned())),
        Ok(Err(AdapterError::Verdict(verdict))) => Err(verdict),
        Ok(Err(AdapterError::Refused(_))) | Err(_) => Ok(None),
    }
}

/// The capabilities of a list whose condition holds.
pub(crate) fn where_needed<C, const N: usize>(needed: [(bool, C); N]) -> impl Iterator<Item = C> {
    needed.into_iter().filter_map(|(is_needed, capability)| is_needed.then_some(capability))
}

/// Declares the capabilities of one pattern, each with the name that reports show.
macro_rules! capabilities {
    ($(#[$docs:meta])* $vis:vis enum $name:ident { $(#[doc = $about:literal] $capability:ident = $text:literal,)+ }) => {
        $(#[$docs])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        $vis enum $name { $(#[doc = $about] $capability,)+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$capability),+];

            /// Explains it in a few words.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self { $(Self::$capability => $about.trim_ascii(),)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $(Self::$capability => $text,)+ })
            }
        }
    };
}
pub(crate) use capabilities;
