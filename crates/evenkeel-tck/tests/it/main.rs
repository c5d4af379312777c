//! The frame: verdicts, runs, dependence of rules; and the specification against the rules.

mod frame;
mod outsiders;
mod spec;
