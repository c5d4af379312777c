//! Small implementations with planted faults, one for each way to break a rule: they show that the rules can fail.

/// Each fault with the rule that must find it.
macro_rules! faults {
    ($($fault:ident $rule:literal $($isolated:ident)?,)+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Fault { None, $($fault,)+ }

        /// The implementation without a fault.
        pub(crate) const SOUND: &dyn Adapter<Settings> = &Faulty(Fault::None);

        pub(crate) const PLANTED: &[Planted<Settings>] = &[$(Planted {
            fault: stringify!($fault),
            rule: $rule,
            isolated: !stringify!($($isolated)?).is_empty(),
            adapter: &Faulty(Fault::$fault),
        },)+];
    };
}

mod inline_task;
pub(crate) mod inspect;
pub(crate) mod limit;
pub(crate) mod pipeline;
pub(crate) mod pool;
pub(crate) mod retry;
pub(crate) mod shutdown;
pub(crate) mod stream;
pub(crate) mod task;
pub(crate) mod testkit;

use evenkeel_tck::{Adapter, Pattern};

/// An implementation with one fault, and the rule that must find it.
pub(crate) struct Planted<S: Pattern> {
    pub(crate) fault: &'static str,
    pub(crate) rule: &'static str,
    /// It crashes or hangs: it is to be run in a process of its own.
    pub(crate) isolated: bool,
    pub(crate) adapter: &'static dyn Adapter<S>,
}
