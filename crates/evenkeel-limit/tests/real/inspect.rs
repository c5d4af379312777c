//! A server that is gone, in the dumps of evenkeel-inspect.

use evenkeel_inspect::{InspectedResource, dump_of};
use evenkeel_limit::{Distributed, Rate};
use tokio::runtime::Handle;

use crate::redis::{comes_back, key, run_alone, store};

/// The limit as the dump of this test has it.
fn told() -> InspectedResource {
    let dump = dump_of(Handle::current().id());
    assert_eq!((dump.resources.len(), dump.panics), (1, 0), "{dump}");
    dump.resources[0].clone()
}

#[test]
#[ignore = "real tier"]
fn a_server_that_is_gone_is_an_outage_until_it_is_back() {
    run_alone(async |mut server| {
        let quota = Distributed::new(store(&server.url()), key(), Rate::per_second(1000)).named("quota");
        quota.acquire().await.unwrap();
        assert_eq!(told().outage, None);
        server.kill();
        let error = loop {
            if let Err(error) = quota.acquire().await {
                break error;
            }
        };
        let limit = told();
        let outage = limit.outage.expect("an outage");
        assert!(!outage.reason.is_empty(), "{error:?}");
        assert_eq!(limit.notes, ["1000 per 1s", "requests are refused until its store answers"]);
        server.restart().await;
        comes_back(&quota).await;
        assert_eq!(told().outage, None);
    });
}
