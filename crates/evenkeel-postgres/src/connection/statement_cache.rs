//! A cache of the statements used last, by their text.

/// A cache of at most `max` values, which evicts the least recently used one.
#[derive(Debug)]
pub(crate) struct StatementCache<T> {
    max: usize,
    // The one used last is the last.
    entries: Vec<(Box<str>, T)>,
}

impl<T: Clone> StatementCache<T> {
    pub(crate) const fn new(max: usize) -> Self {
        Self { max, entries: Vec::new() }
    }

    pub(crate) fn get(&mut self, text: &str) -> Option<T> {
        let entry = self.take(text)?;
        let value = entry.1.clone();
        self.entries.push(entry);
        Some(value)
    }

    /// Inserts a value, and returns the one that it replaces or evicts.
    pub(crate) fn insert(&mut self, text: &str, value: T) -> Option<T> {
        let before = self.remove(text);
        self.entries.push((text.into(), value));
        before.or_else(|| (self.entries.len() > self.max).then(|| self.entries.remove(0).1))
    }

    /// Removes all values, and returns them.
    pub(crate) fn clear(&mut self) -> Vec<T> {
        self.entries.drain(..).map(|(_, value)| value).collect()
    }

    pub(crate) fn remove(&mut self, text: &str) -> Option<T> {
        self.take(text).map(|(_, value)| value)
    }

    fn take(&mut self, text: &str) -> Option<(Box<str>, T)> {
        let at = self.entries.iter().rposition(|(known, _)| **known == *text)?;
        Some(self.entries.remove(at))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::StatementCache;

    const MAX: usize = 3;

    #[derive(Clone, Debug)]
    enum Op {
        Get(u8),
        Insert(u8),
        Remove(u8),
        Clear,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            2 => (0..6_u8).prop_map(Op::Get),
            3 => (0..6_u8).prop_map(Op::Insert),
            1 => (0..6_u8).prop_map(Op::Remove),
            1 => Just(Op::Clear),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// The cache is the list of all values inserted and not removed, by last use, cut off after the first three.
        #[test]
        fn the_last_used_are_kept(ops in prop::collection::vec(op(), 0..60)) {
            let mut cache = StatementCache::new(MAX);
            let mut model: Vec<(u8, usize)> = Vec::new();
            for (now, op) in ops.into_iter().enumerate() {
                let (Op::Get(name) | Op::Insert(name) | Op::Remove(name)) = op else {
                    let mut kept: Vec<usize> = model.drain(..).map(|(_, value)| value).collect();
                    kept.sort_unstable();
                    let mut gone = cache.clear();
                    gone.sort_unstable();
                    prop_assert_eq!(gone, kept);
                    continue;
                };
                let known = model.iter().position(|(known, _)| *known == name).map(|at| model.remove(at));
                let text = name.to_string();
                match op {
                    Op::Get(_) => {
                        prop_assert_eq!(cache.get(&text), known.map(|(_, value)| value));
                        model.extend(known);
                    }
                    Op::Insert(_) => {
                        model.push((name, now));
                        let gone = known.or_else(|| (model.len() > MAX).then(|| model.remove(0)));
                        prop_assert_eq!(cache.insert(&text, now), gone.map(|(_, value)| value));
                    }
                    Op::Remove(_) | Op::Clear => prop_assert_eq!(cache.remove(&text), known.map(|(_, value)| value)),
                }
            }
        }
    }
}
