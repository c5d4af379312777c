//! Strategies of proptest for what is random in tests of async code.

use std::{iter::repeat_n, time::Duration};

use proptest::{
    prop_oneof,
    strategy::{Just, Strategy},
};

/// Latencies in whole milliseconds, none among them, up to `most`.
///
/// Half of them are at most 10 ms, so that some are equal, and some fall together. They shrink to none.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, assert_took, strategy};
/// use proptest::{collection::vec, prelude::*};
/// use std::time::Duration;
/// use tokio::{task::JoinSet, time::sleep};
///
/// proptest!(ProptestConfig::with_cases(16), |(latencies in vec(strategy::latency(Duration::from_secs(60)), 1..10))| {
///     World::run(async |_| {
///         let all: JoinSet<()> = latencies.iter().map(|latency| sleep(*latency)).collect();
///         assert_took!(all.join_all(), *latencies.iter().max().unwrap());
///     });
/// });
/// ```
pub fn latency(most: Duration) -> impl Strategy<Value = Duration> + Clone {
    let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    prop_oneof![0..=most.min(10), 0..=most].prop_map(Duration::from_millis)
}

/// Interleavings of tasks: for each, which of all steps are its own.
///
/// `steps` is the number of steps of each task. The numbers are for [`Seq::at`](crate::seq::Seq::at). They
/// shrink to one task after the other.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, seq::Seq, strategy};
/// use proptest::prelude::*;
///
/// proptest!(ProptestConfig::with_cases(16), |(order in strategy::interleaving(&[2, 3]))| {
///     World::run(async |world| {
///         let seq = Seq::new();
///         let task = async |steps: &[usize]| {
///             for step in steps {
///                 let _turn = seq.at(*step).await;
///                 world.record().note(step.to_string());
///             }
///         };
///         tokio::join!(task(&order[0]), task(&order[1]));
///         let steps: Vec<_> = world.record().timeline().into_iter().map(|(_, step)| step).collect();
///         assert_eq!(steps, ["0", "1", "2", "3", "4"]);
///     });
/// });
/// ```
pub fn interleaving(steps: &[usize]) -> impl Strategy<Value = Vec<Vec<usize>>> + Clone + use<> {
    let tasks = steps.len();
    let one_by_one: Vec<_> =
        steps.iter().enumerate().flat_map(|(task, steps)| repeat_n(task, *steps)).collect();
    Just(one_by_one).prop_shuffle().prop_map(move |order| {
        let mut own = vec![Vec::new(); tasks];
        for (step, task) in order.into_iter().enumerate() {
            own[task].push(step);
        }
        own
    })
}
