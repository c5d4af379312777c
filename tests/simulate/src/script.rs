//! The script of a seed: its sizes, and its faults.

use std::fmt;

/// The choices that a seed has made, before the run: the run draws the rest from the seed, thing by thing.
#[derive(Clone, Debug)]
pub struct Script<F> {
    sizes: Vec<Size>,
    /// The faults, each of which stands alone.
    pub faults: Vec<F>,
}

/// A number that can be halved.
#[derive(Clone, Copy, Debug)]
struct Size {
    name: &'static str,
    value: u64,
    least: u64,
}

impl<F: Clone> Script<F> {
    /// Creates a script without sizes and faults.
    #[must_use]
    pub const fn new() -> Self {
        Self { sizes: Vec::new(), faults: Vec::new() }
    }

    /// Sets a size, which shrinks down to `least`.
    pub fn set(&mut self, name: &'static str, value: u64, least: u64) {
        self.sizes.retain(|size| size.name != name);
        self.sizes.push(Size { name, value, least });
    }

    /// Returns a size.
    ///
    /// # Panics
    ///
    /// If it was not set.
    #[must_use]
    pub fn size(&self, name: &str) -> u64 {
        let size = self.sizes.iter().find(|size| size.name == name);
        size.unwrap_or_else(|| panic!("the script has no size `{name}`")).value
    }

    /// Returns smaller scripts, the smallest first: without some faults, with a size that is smaller.
    #[must_use]
    pub fn smaller(&self) -> Vec<Self> {
        let mut smaller = Vec::new();
        let mut part = self.faults.len();
        while part > 0 {
            for first in (0..self.faults.len()).step_by(part) {
                let mut script = self.clone();
                script.faults.drain(first..(first + part).min(self.faults.len()));
                smaller.push(script);
            }
            part /= 2;
        }
        for (index, size) in self.sizes.iter().enumerate() {
            let above = size.value.saturating_sub(size.least);
            let mut values = vec![0, above / 2, above.saturating_sub(1)];
            values.dedup();
            for value in values.into_iter().filter(|value| *value < above) {
                let mut script = self.clone();
                script.sizes[index].value = size.least + value;
                smaller.push(script);
            }
        }
        smaller
    }
}

impl<F: Clone> Default for Script<F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: fmt::Debug> fmt::Display for Script<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("  sizes: ")?;
        for (index, Size { name, value, .. }) in self.sizes.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {value}")?;
        }
        if self.faults.is_empty() {
            return f.write_str("\n  no fault");
        }
        self.faults.iter().try_for_each(|fault| write!(f, "\n  fault: {fault:?}"))
    }
}
