//! Strategies of proptest: latencies, interleavings, and faults of a link.

use std::{iter::repeat_n, time::Duration};

use proptest::{
    collection::vec,
    prop_oneof,
    strategy::{Just, Strategy},
};

use crate::net::{Fault, Toxics};

/// Latencies in whole milliseconds, from zero to `most`.
///
/// Half of them are at most 10 ms, so that some are equal, and some timers coincide. They shrink to zero.
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

/// Interleavings of tasks: for each task, the numbers of its steps.
///
/// `steps` is the number of steps of each task. The numbers are arguments of
/// [`Sequencer::at`](crate::sequencer::Sequencer::at). They shrink to one task after the other.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, sequencer::Sequencer, strategy};
/// use proptest::prelude::*;
///
/// proptest!(ProptestConfig::with_cases(16), |(order in strategy::interleaving(&[2, 3]))| {
///     World::run(async |world| {
///         let seq = Sequencer::new();
///         let task = async |steps: &[usize]| {
///             for step in steps {
///                 let _step = seq.at(*step).await;
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

/// Toxics of one kind at a time, with times up to `most`; they shrink to a latency of zero.
///
/// It draws no partition, which nothing would end, and no time-out, which is [`Fault::Cut`] with a wait.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, net::MemNet, strategy};
/// use proptest::prelude::*;
/// use std::time::Duration;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// proptest!(ProptestConfig::with_cases(16), |(toxics in strategy::toxics(Duration::from_secs(1)))| {
///     World::run(async |_| {
///         let net = MemNet::new();
///         net.link("echo.test:7").both(toxics);
///         let mut listener = net.listen("echo.test:7").unwrap();
///         let mut client = net.connect("echo.test:7").await.unwrap();
///         let mut server = listener.accept().await;
///         // The bytes arrive, or the connection ends: nothing hangs.
///         if client.write_all(b"hello").await.is_ok() {
///             let _ = server.read_exact(&mut [0; 5]).await;
///         }
///     });
/// });
/// ```
pub fn toxics(most: Duration) -> impl Strategy<Value = Toxics> + Clone {
    const BYTES: u64 = 4096;
    prop_oneof![
        latency(most).prop_map(|time| Toxics::new().latency(time)),
        (latency(most), latency(most)).prop_map(|(time, jitter)| Toxics::new().latency(time).jitter(jitter)),
        (1..=BYTES).prop_map(|bytes| Toxics::new().bandwidth(1024 * bytes)),
        latency(most).prop_map(|time| Toxics::new().slow_close(time)),
        (1..=16_usize, latency(most / 16)).prop_map(|(bytes, time)| Toxics::new().slicer(bytes, 0, time)),
        (0..=BYTES, latency(most)).prop_map(|(bytes, time)| Toxics::new().stall(bytes, time)),
        (0..=BYTES).prop_map(|bytes| Toxics::new().limit_data(bytes)),
        (0..=BYTES).prop_map(|bytes| Toxics::new().reset_data(bytes)),
        latency(most).prop_map(|time| Toxics::new().reset_peer(time)),
    ]
}

/// Scripts of up to `faults` faults of a link, each at most `apart` after the one before it.
///
/// It draws all kinds, also partitions: [`Link::play`](crate::net::Link::play) ends them. Scripts shrink to fewer faults.
///
/// # Examples
///
/// A client that retries gets its answer in the end, whatever the faults:
///
/// ```
/// use evenkeel_testkit::{World, net::MemNet, strategy};
/// use proptest::prelude::*;
/// use std::time::Duration;
/// use tokio::{io::{AsyncReadExt, AsyncWriteExt}, time::{sleep, timeout}};
///
/// const SECOND: Duration = Duration::from_secs(1);
///
/// proptest!(ProptestConfig::with_cases(16), |(script in strategy::script(8, SECOND))| {
///     World::run(async |_| {
///         let net = MemNet::new();
///         let mut listener = net.listen("time.test:37").unwrap();
///         let server = tokio::spawn(async move {
///             loop {
///                 let mut stream = listener.accept().await;
///                 tokio::spawn(async move { stream.write_all(b"noon").await });
///             }
///         });
///         let ask = async || {
///             let mut answer = [0; 4];
///             net.connect("time.test:37").await?.read_exact(&mut answer).await.map(|_| answer)
///         };
///         let client = async {
///             loop {
///                 match timeout(SECOND, ask()).await {
///                     Ok(Ok(answer)) => break answer,
///                     _ => sleep(SECOND / 10).await,
///                 }
///             }
///         };
///         let link = net.link("time.test:37");
///         let (answer, ()) = tokio::join!(client, link.play(&script));
///         assert_eq!(&answer, b"noon");
///         server.abort();
///     });
/// });
/// ```
pub fn script(faults: usize, apart: Duration) -> impl Strategy<Value = Vec<(Duration, Fault)>> + Clone {
    let fault = prop_oneof![
        toxics(apart).prop_map(Fault::Toxics),
        Just(Fault::Toxics(Toxics::new().partition())),
        Just(Fault::Cut),
        Just(Fault::Reset),
        (0..=3_usize).prop_map(Fault::Refuse),
        latency(apart).prop_map(Fault::ConnectDelay),
        Just(Fault::Heal),
    ];
    vec((latency(apart), fault), 0..=faults)
}
