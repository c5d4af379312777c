//! Values in order of arrival, each of them removable at once.

/// Where a value of a [`Queue`] is.
pub(crate) type Key = usize;

/// Doubly linked by index, through one vector that keeps its size.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    // The first node has no value: it closes the ring, and the list of free nodes ends at it.
    nodes: Vec<Node<T>>,
    free: usize,
    len: usize,
}

#[derive(Debug)]
struct Node<T> {
    value: Option<T>,
    prev: usize,
    next: usize,
}

const END: usize = 0;

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Self { nodes: vec![Node { value: None, prev: END, next: END }], free: END, len: 0 }
    }

    /// How many values stand in line.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn push(&mut self, value: T) -> Key {
        let prev = self.nodes[END].prev;
        let node = Node { value: Some(value), prev, next: END };
        let key = if self.free == END {
            self.nodes.push(node);
            self.nodes.len() - 1
        } else {
            let key = self.free;
            self.free = self.nodes[key].next;
            self.nodes[key] = node;
            key
        };
        self.nodes[prev].next = key;
        self.nodes[END].prev = key;
        self.len += 1;
        key
    }

    /// Takes a value out of the line, but keeps it under its key.
    pub(crate) fn retire(&mut self, key: Key) {
        let Node { prev, next, .. } = self.nodes[key];
        // A node out of line is linked to itself.
        if next == key {
            return;
        }
        self.nodes[prev].next = next;
        self.nodes[next].prev = prev;
        self.nodes[key].prev = key;
        self.nodes[key].next = key;
        self.len -= 1;
    }

    /// Takes a value out, from within the line or retired.
    pub(crate) fn remove(&mut self, key: Key) -> T {
        self.retire(key);
        let node = &mut self.nodes[key];
        node.next = self.free;
        self.free = key;
        node.value.take().expect("a key is used until its value is removed")
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> &mut T {
        self.nodes[key].value.as_mut().expect("a key is used until its value is removed")
    }

    /// All values, those out of line too, in no order.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.nodes.iter_mut().filter_map(|node| node.value.as_mut())
    }

    /// Who is first in line.
    pub(crate) fn first(&self) -> Option<Key> {
        Some(self.nodes[END].next).filter(|first| *first != END)
    }

    /// The line, the longest waiting first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        let mut key = END;
        std::iter::from_fn(move || {
            key = self.nodes[key].next;
            self.nodes[key].value.as_ref().map(|value| (key, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::Queue;

    #[derive(Clone, Debug)]
    enum Op {
        Push,
        Retire(usize),
        Remove(usize),
        RemoveRetired(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            3 => Just(Op::Push),
            1 => any::<usize>().prop_map(Op::Retire),
            2 => any::<usize>().prop_map(Op::Remove),
            1 => any::<usize>().prop_map(Op::RemoveRetired),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// It is a deque from whose middle values can be taken, and it never has more nodes than values at its peak.
        #[test]
        fn is_a_deque_with_holes(ops in prop::collection::vec(op(), 0..80)) {
            let (mut queue, mut line, mut retired) = (Queue::new(), VecDeque::new(), Vec::new());
            let mut peak = 0;
            for (id, op) in ops.into_iter().enumerate() {
                match op {
                    Op::Push => line.push_back((queue.push(id), id)),
                    Op::Retire(n) if !line.is_empty() => {
                        let entry = line.remove(n % line.len()).unwrap();
                        queue.retire(entry.0);
                        retired.push(entry);
                    }
                    Op::Remove(n) if !line.is_empty() => {
                        let (key, id) = line.remove(n % line.len()).unwrap();
                        prop_assert_eq!(queue.remove(key), id);
                    }
                    Op::RemoveRetired(n) if !retired.is_empty() => {
                        let (key, id) = retired.swap_remove(n % retired.len());
                        prop_assert_eq!(*queue.get_mut(key), id);
                        prop_assert_eq!(queue.remove(key), id);
                    }
                    _ => {}
                }
                peak = peak.max(line.len() + retired.len());
                prop_assert_eq!(queue.len(), line.len());
                prop_assert_eq!(queue.values_mut().count(), line.len() + retired.len());
                prop_assert_eq!(queue.first(), line.front().map(|(key, _)| *key));
                prop_assert!(queue.iter().map(|(key, id)| (key, *id)).eq(line.iter().copied()));
            }
            prop_assert_eq!(queue.nodes.len(), peak + 1);
        }
    }
}
