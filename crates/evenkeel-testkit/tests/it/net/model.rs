//! Arrival times of a link, compared with a fluid model: bytes of no size that flow through a pipe.

use std::time::Duration;

use evenkeel_testkit::{
    World,
    net::{MemNet, Toxics},
};
use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

use super::connected;

/// A write of a number of bytes, a number of milliseconds after the write before.
type Write = (u64, usize);

/// When the last byte of each write arrives.
fn fluid(latency: u64, rate: u64, writes: &[Write]) -> Vec<Duration> {
    const MILLI: u128 = 1_000_000;
    let mut now = 0;
    // The fluid has flowed without a pause since `begun`, and `flowed` bytes have arrived.
    let (mut begun, mut flowed) = (0, 0);
    let mut arrivals = vec![];
    for &(wait, len) in writes {
        now += u128::from(wait) * MILLI;
        let time = |bytes: u128| bytes * 1000 * MILLI / u128::from(rate);
        if now > begun + time(flowed) {
            (begun, flowed) = (now, 0);
        }
        flowed += len as u128;
        let arrival = begun + time(flowed) + u128::from(latency) * MILLI;
        // Timers fire at the next full millisecond.
        arrivals.push(Duration::from_millis(arrival.div_ceil(MILLI) as u64));
    }
    arrivals
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn each_write_arrives_when_a_fluid_would(
        latency in 0_u64..300,
        // Rates that divide a second leave no remainders.
        rate in prop::sample::select(vec![2_u64, 5, 10, 125, 1000, 4000, 1_000_000, 1_000_000_000]),
        writes in prop::collection::vec((0_u64..2000, 1_usize..200), 1..10),
    ) {
        let toxics = Toxics::new().latency(Duration::from_millis(latency)).bandwidth(rate);
        let expected = fluid(latency, rate, &writes);
        let got = World::run(async |world| {
            let (mut client, mut server, link) = connected(&MemNet::new()).await;
            link.upstream(toxics);
            let lens: Vec<usize> = writes.iter().map(|(_, len)| *len).collect();
            let sending = tokio::spawn(async move {
                for (number, (wait, len)) in writes.into_iter().enumerate() {
                    sleep(Duration::from_millis(wait)).await;
                    client.write_all(&vec![number as u8; len]).await.unwrap();
                }
                client
            });
            let mut arrivals = vec![];
            for (number, len) in lens.into_iter().enumerate() {
                let mut bytes = vec![0; len];
                server.read_exact(&mut bytes).await.unwrap();
                assert_eq!(bytes, vec![number as u8; len]);
                arrivals.push(world.elapsed());
            }
            sending.await.unwrap();
            arrivals
        });
        prop_assert_eq!(got, expected);
    }
}
