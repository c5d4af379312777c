#![doc = include_str!("../SIMULATION.md")]
