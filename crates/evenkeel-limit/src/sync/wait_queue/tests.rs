//! The queue against a model.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Push(u32),
    Serve,
    Claim,
    Cancel(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..10_u32).prop_map(Step::Push),
        2 => Just(Step::Serve),
        2 => Just(Step::Claim),
        2 => any::<prop::sample::Index>().prop_map(Step::Cancel),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Random steps, against a deque of the waiters and one of the decisions that nobody has claimed.
    #[test]
    fn is_a_line(steps in prop::collection::vec(step(), 1..200)) {
        let (mut queue, mut line, mut served) = (WaitQueue::new(), VecDeque::new(), VecDeque::new());
        let mut peak = 0;
        for step in steps {
            match step {
                Step::Push(permits) => {
                    let key = queue.push(Waiter { permits, waker: Waker::noop().clone(), meta: () });
                    peak = peak.max(line.len() + served.len() + 1);
                    prop_assert!(key < peak, "keys are used again");
                    line.push_back((key, permits));
                }
                Step::Serve => {
                    let first = line.pop_front();
                    prop_assert_eq!(queue.serve(first.map_or(0, |(_, permits)| permits)).map(|waiter| waiter.permits), first.map(|(_, permits)| permits));
                    served.extend(first);
                }
                Step::Claim => {
                    let claimed = served.pop_front();
                    prop_assert_eq!(claimed.and_then(|(key, _)| queue.claim(key)), claimed.map(|(_, permits)| Ok(permits)));
                }
                Step::Cancel(index) if !line.is_empty() => {
                    let (key, permits) = line.remove(index.index(line.len())).unwrap();
                    prop_assert_eq!(queue.claim(key), None);
                    prop_assert_eq!(queue.cancel(key).permits, permits);
                }
                Step::Cancel(_) => {}
            }
            prop_assert_eq!(queue.len(), line.len());
            prop_assert_eq!(queue.permits(), line.iter().map(|&(_, permits)| u64::from(permits)).sum::<u64>());
            prop_assert_eq!(queue.front().map(|first| first.permits), line.front().map(|&(_, permits)| permits));
        }
    }
}
