//! Timelines.

mod bounds;
mod committed;
mod exact;
mod failing;
mod forms;
mod scenes;
mod slices;
