//! A network that is cut, reset and silent under load.

use std::time::Duration;

use evenkeel_postgres::Database;
use evenkeel_testkit::net::{Proxy, Toxics};
use tokio::time::{Instant, sleep};

use crate::{
    harness::run_within,
    load::{Load, print, time_to_full_size},
    test_host::{TestHost, at, good},
};

const MAX: usize = 8;

/// Cuts, resets and silences the network between the pool and the server for this time.
pub(crate) fn the_network_fails(length: Duration) {
    run_within(length + Duration::from_secs(90), |schema| async move {
        let server = good(&schema.config).await;
        let proxy = Proxy::start(("127.0.0.1", server.port)).await.unwrap();
        let host = TestHost { port: proxy.address().port(), seen: server.seen };
        let config = at(&schema.config, &[&host]);
        let db = Database::builder(config).max(MAX).connect().await.unwrap();
        let load = Load::start(&db, &schema.admin, &schema.name, true).await;
        let (start, mut faults) = (Instant::now(), 0);
        while start.elapsed() < length {
            sleep(Duration::from_millis(100)).await;
            match faults % 4 {
                0 => proxy.link().cut(),
                1 => proxy.link().reset(),
                2 => {
                    // New connections fail as well.
                    proxy.link().refuse(3);
                    proxy.link().cut();
                }
                _ => {
                    proxy.link().both(Toxics::new().partition());
                    sleep(Duration::from_millis(300)).await;
                    proxy.link().heal();
                }
            }
            faults += 1;
        }
        proxy.link().heal();
        let full = time_to_full_size(&db, MAX).await;
        let counts = load.finish(&schema.admin).await;
        assert!(counts.failed_reads + counts.unknown + counts.not_stored > 0, "some calls met a fault");
        print(&format!("{faults} faults of the network, full size after {full:?} under load"), &counts);
    });
}
