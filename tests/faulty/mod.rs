//! Small implementations with every fault that a rule is to find: what shows that the rules can fail.

pub(crate) mod retry;

/// An implementation with one fault, and the rule that must find it.
pub(crate) struct Planted<A: ?Sized + 'static> {
    pub(crate) fault: &'static str,
    pub(crate) rule: &'static str,
    /// It crashes or hangs: it is to be run in a process of its own.
    pub(crate) isolated: bool,
    pub(crate) adapter: &'static A,
}
