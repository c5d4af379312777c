//! Random histories, compared step by step with a model: a number and a list for each key.

use std::{
    collections::{BTreeMap, VecDeque},
    task::Poll,
};

use evenkeel_limit::{AcquireKeyPermit, KeyPermit, KeyedConcurrency, Reason};
use evenkeel_testkit::World;
use proptest::{prelude::*, sample::Index};

use super::foreign::Key;
use crate::fixtures::ByHand;

const KEYS: u32 = 4;

#[derive(Clone, Debug)]
enum Step {
    Try(u32),
    /// Makes a future, which is not polled yet.
    Ask(u32),
    Poll(Index),
    Drop(Index),
    Release(Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0..KEYS).prop_map(Step::Try),
        3 => (0..KEYS).prop_map(Step::Ask),
        4 => any::<Index>().prop_map(Step::Poll),
        1 => any::<Index>().prop_map(Step::Drop),
        2 => any::<Index>().prop_map(Step::Release),
    ]
}

/// One key: its permits, granted ones that were not seen yet among them, and the futures that wait.
#[derive(Default)]
struct Model {
    in_use: usize,
    queue: VecDeque<usize>,
    granted: Vec<usize>,
}

impl Model {
    fn take(&mut self, limit: usize) -> bool {
        let fits = self.queue.is_empty() && self.in_use < limit;
        self.in_use += usize::from(fits);
        fits
    }

    fn release(&mut self) {
        self.in_use -= 1;
        if let Some(next) = self.queue.pop_front() {
            self.in_use += 1;
            self.granted.push(next);
        }
    }

    fn claim(&mut self, id: usize) -> bool {
        let found = self.granted.iter().position(|granted| *granted == id);
        found.map(|index| self.granted.remove(index)).is_some()
    }
}

struct Request<K> {
    id: usize,
    key: u32,
    is_polled: bool,
    future: ByHand<AcquireKeyPermit<K>>,
}

fn compare<K: Key>(limit: usize, steps: Vec<Step>) {
    let keyed: KeyedConcurrency<K> = KeyedConcurrency::new(limit as u32);
    let mut models: BTreeMap<u32, Model> = (0..KEYS).map(|key| (key, Model::default())).collect();
    let mut permits: Vec<(u32, KeyPermit<K>)> = vec![];
    let mut requests: Vec<Request<K>> = vec![];
    for (id, step) in steps.into_iter().enumerate() {
        match step {
            Step::Try(key) => {
                let got = keyed.try_acquire(&K::from(key));
                assert_eq!(got.is_ok(), models.get_mut(&key).unwrap().take(limit));
                match got {
                    Ok(permit) => permits.push((key, permit)),
                    Err(denied) => assert_eq!((denied.reason, denied.retry_after), (Reason::Busy, None)),
                }
            }
            Step::Ask(key) => {
                let future = ByHand::new(keyed.acquire(&K::from(key)));
                requests.push(Request { id, key, is_polled: false, future });
            }
            Step::Poll(index) if !requests.is_empty() => {
                let index = index.index(requests.len());
                let Request { id, key, is_polled, future } = &mut requests[index];
                let (key, model) = (*key, models.get_mut(key).unwrap());
                let is_due = if *is_polled { model.claim(*id) } else { model.take(limit) };
                match future.poll() {
                    Poll::Ready(got) => {
                        assert!(is_due);
                        permits.push((key, got.unwrap()));
                        requests.remove(index);
                    }
                    Poll::Pending => {
                        assert!(!is_due);
                        if !*is_polled {
                            model.queue.push_back(*id);
                        }
                        *is_polled = true;
                    }
                }
            }
            Step::Drop(index) if !requests.is_empty() => {
                let Request { id, key, future, .. } = requests.remove(index.index(requests.len()));
                drop(future);
                let model = models.get_mut(&key).unwrap();
                model.queue.retain(|waiting| *waiting != id);
                if model.claim(id) {
                    model.release();
                }
            }
            Step::Release(index) if !permits.is_empty() => {
                let (key, permit) = permits.remove(index.index(permits.len()));
                drop(permit);
                models.get_mut(&key).unwrap().release();
            }
            Step::Poll(_) | Step::Drop(_) | Step::Release(_) => {}
        }
        let is_in_use = |key: &u32| {
            permits.iter().any(|permit| permit.0 == *key)
                || requests.iter().any(|request| request.key == *key)
        };
        assert_eq!(keyed.len(), (0..KEYS).filter(is_in_use).count());
        for Request { id, key, future, .. } in &requests {
            let wakes = usize::from(models[key].granted.contains(id));
            assert_eq!(future.wakes(), wakes, "one wake for each grant");
        }
        assert!(models.values().all(|model| model.in_use <= limit));
    }
    drop((permits, requests));
    assert!(keyed.is_empty(), "no key stays");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn keys_and_model_agree(limit in 1..4_usize, steps in prop::collection::vec(step(), 1..100)) {
        World::run(async |_| compare::<u32>(limit, steps));
    }

    #[test]
    fn keys_with_the_same_hash_and_model_agree(limit in 1..4_usize, steps in prop::collection::vec(step(), 1..100)) {
        World::run(async |_| compare::<super::foreign::Same>(limit, steps));
    }
}
