//! The values used last, by text.

/// Keeps so many values at most: when there are more, the one that was not used for the longest time goes.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    most: usize,
    // The one used last is at the end.
    entries: Vec<(Box<str>, T)>,
}

impl<T: Clone> Recent<T> {
    pub(crate) const fn new(most: usize) -> Self {
        Self { most, entries: Vec::new() }
    }

    pub(crate) fn get(&mut self, text: &str) -> Option<T> {
        let entry = self.remove(text)?;
        let value = entry.1.clone();
        self.entries.push(entry);
        Some(value)
    }

    /// Keeps a value, and gives the one that has to go for it.
    pub(crate) fn keep(&mut self, text: &str, value: T) -> Option<T> {
        let before = self.forget(text);
        self.entries.push((text.into(), value));
        before.or_else(|| (self.entries.len() > self.most).then(|| self.entries.remove(0).1))
    }

    /// Keeps nothing any more, and gives all that there was.
    pub(crate) fn clear(&mut self) -> Vec<T> {
        self.entries.drain(..).map(|(_, value)| value).collect()
    }

    pub(crate) fn forget(&mut self, text: &str) -> Option<T> {
        self.remove(text).map(|(_, value)| value)
    }

    fn remove(&mut self, text: &str) -> Option<(Box<str>, T)> {
        let at = self.entries.iter().rposition(|(known, _)| **known == *text)?;
        Some(self.entries.remove(at))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Recent;

    const MOST: usize = 3;

    #[derive(Clone, Debug)]
    enum Op {
        Get(u8),
        Keep(u8),
        Forget(u8),
        Clear,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            2 => (0..6_u8).prop_map(Op::Get),
            3 => (0..6_u8).prop_map(Op::Keep),
            1 => (0..6_u8).prop_map(Op::Forget),
            1 => Just(Op::Clear),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// It is a list of all that was kept and not forgotten, by last use, cut off after the first three.
        #[test]
        fn the_last_used_are_kept(ops in prop::collection::vec(op(), 0..60)) {
            let mut recent = Recent::new(MOST);
            let mut model: Vec<(u8, usize)> = Vec::new();
            for (now, op) in ops.into_iter().enumerate() {
                let (Op::Get(name) | Op::Keep(name) | Op::Forget(name)) = op else {
                    let mut kept: Vec<usize> = model.drain(..).map(|(_, value)| value).collect();
                    kept.sort_unstable();
                    let mut gone = recent.clear();
                    gone.sort_unstable();
                    prop_assert_eq!(gone, kept);
                    continue;
                };
                let known = model.iter().position(|(known, _)| *known == name).map(|at| model.remove(at));
                let text = name.to_string();
                match op {
                    Op::Get(_) => {
                        prop_assert_eq!(recent.get(&text), known.map(|(_, value)| value));
                        model.extend(known);
                    }
                    Op::Keep(_) => {
                        model.push((name, now));
                        let gone = known.or_else(|| (model.len() > MOST).then(|| model.remove(0)));
                        prop_assert_eq!(recent.keep(&text, now), gone.map(|(_, value)| value));
                    }
                    Op::Forget(_) | Op::Clear => prop_assert_eq!(recent.forget(&text), known.map(|(_, value)| value)),
                }
            }
        }
    }
}
