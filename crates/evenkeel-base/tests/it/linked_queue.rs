//! The queue against a model.

use std::collections::VecDeque;

use evenkeel_base::LinkedQueue;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Push,
    Unlink(usize),
    Remove(usize),
    RemoveUnlinked(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => Just(Op::Push),
        1 => any::<usize>().prop_map(Op::Unlink),
        2 => any::<usize>().prop_map(Op::Remove),
        1 => any::<usize>().prop_map(Op::RemoveUnlinked),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Random operations, against a deque and a list of the unlinked values.
    #[test]
    fn is_a_deque_with_holes(ops in prop::collection::vec(op(), 0..80)) {
        let (mut queue, mut linked, mut unlinked) = (LinkedQueue::new(), VecDeque::new(), Vec::new());
        for (id, op) in ops.into_iter().enumerate() {
            match op {
                Op::Push => linked.push_back((queue.push_back(id), id)),
                Op::Unlink(n) if !linked.is_empty() => {
                    let entry = linked.remove(n % linked.len()).unwrap();
                    prop_assert!(queue.unlink(entry.0));
                    prop_assert!(!queue.unlink(entry.0));
                    unlinked.push(entry);
                }
                Op::Remove(n) if !linked.is_empty() => {
                    let (key, id) = linked.remove(n % linked.len()).unwrap();
                    match n % 3 {
                        0 => queue.discard(key),
                        _ => prop_assert_eq!(queue.remove(key), id),
                    }
                }
                Op::RemoveUnlinked(n) if !unlinked.is_empty() => {
                    let (key, id) = unlinked.swap_remove(n % unlinked.len());
                    prop_assert_eq!((*queue.get(key), *queue.get_mut(key)), (id, id));
                    prop_assert_eq!(queue.remove(key), id);
                }
                _ => {}
            }
            prop_assert_eq!((queue.len(), queue.is_empty()), (linked.len(), linked.is_empty()));
            prop_assert_eq!(queue.values_mut().count(), linked.len() + unlinked.len());
            prop_assert_eq!(queue.front(), linked.front().map(|(key, _)| *key));
            prop_assert!(queue.iter().map(|(key, id)| (key, *id)).eq(linked.iter().copied()));
        }
    }
}
