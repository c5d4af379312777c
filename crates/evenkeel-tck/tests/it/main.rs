//! The frame: verdicts, runs, dependence of rules; the rules with small, idle and boundless implementations; and the
//! specification against the rules.

mod claims_everything;
mod frame;
mod outsiders;
mod sees_nothing;
mod spec;
