//! Results that wait for the consumer, in the order in which it gets them.

use std::collections::VecDeque;

/// The finished items of a map that its consumer has not taken yet.
#[derive(Debug)]
pub(super) enum Results<R> {
    /// In the order of completion.
    Completion(VecDeque<R>),
    /// In the order of the input: an entry for each item from the first one on that was not taken; an item in flight has
    /// no result yet.
    Input { first: u64, entries: VecDeque<Option<R>> },
}

impl<R> Results<R> {
    pub(super) fn unordered() -> Self {
        Self::Completion(VecDeque::new())
    }

    pub(super) fn ordered() -> Self {
        Self::Input { first: 0, entries: VecDeque::new() }
    }

    /// Adds the result of the item with this number.
    pub(super) fn add(&mut self, number: u64, result: R) {
        match self {
            Self::Completion(results) => results.push_back(result),
            Self::Input { first, entries } => {
                let index = usize::try_from(number - *first).expect("the item is within the limit");
                if entries.len() <= index {
                    entries.resize_with(index + 1, || None);
                }
                entries[index] = Some(result);
            }
        }
    }

    /// Returns the number of results; in the order of the input, of all items from the first one on that have a result or are
    /// before one that has.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Completion(results) => results.len(),
            Self::Input { entries, .. } => entries.len(),
        }
    }

    /// Returns whether a result is due.
    pub(super) fn has_next(&self) -> bool {
        match self {
            Self::Completion(results) => !results.is_empty(),
            Self::Input { entries, .. } => matches!(entries.front(), Some(Some(_))),
        }
    }

    /// Moves all results that are due into an empty queue.
    pub(super) fn take_into(&mut self, due: &mut VecDeque<R>) {
        match self {
            Self::Completion(results) => std::mem::swap(results, due),
            Self::Input { first, entries } => {
                while let Some(result) = entries.front_mut().and_then(Option::take) {
                    entries.pop_front();
                    *first += 1;
                    due.push_back(result);
                }
            }
        }
    }

    /// Takes all results, due or not.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = R> + use<R> {
        let (results, entries) = match self {
            Self::Completion(results) => (std::mem::take(results), VecDeque::new()),
            Self::Input { entries, .. } => (VecDeque::new(), std::mem::take(entries)),
        };
        results.into_iter().chain(entries.into_iter().flatten())
    }
}
