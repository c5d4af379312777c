//! Servers that restart, have no connection left, or hand over to a standby, under load.

use std::time::Duration;

use evenkeel_postgres::{Database, tokio_postgres::config::TargetSessionAttrs};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    harness::{chain, number, run_within},
    instance::Instance,
    load::{Load, print, time_to_full_size},
};

const SECS: fn(u64) -> Duration = Duration::from_secs;
const MAX: usize = 8;

/// Restarts a server under load so often, in an orderly way and by a crash in turns.
pub(crate) fn servers_are_restarted(times: usize) {
    run_within(SECS(60) + times as u32 * SECS(10), |schema| async move {
        let Some(mut server) = Instance::start(&schema, &[]).await else { return };
        let admin = server.admin().await;
        admin.batch_execute("create schema load").await.unwrap();
        let db = Database::builder(server.config()).max(MAX).connect().await.unwrap();
        let load = Load::start(&db, &admin, "load", true).await;
        for signal in ["INT", "QUIT"].into_iter().cycle().take(times) {
            sleep(Duration::from_millis(700)).await;
            server.stop(signal).await;
            sleep(Duration::from_millis(300)).await;
            server.start_again().await;
        }
        sleep(Duration::from_millis(300)).await;
        let full = time_to_full_size(&db, MAX).await;
        let counts = load.finish(&admin).await;
        assert!(counts.failed_reads + counts.unknown + counts.not_stored > 0, "some calls met a restart");
        print(&format!("{times} restarts, full size after {full:?} under load"), &counts);
    });
}

/// Hands over from a primary to its standby under load so often; for some seconds there is no primary.
pub(crate) fn a_standby_takes_over(gap: Duration) {
    run_within(SECS(90) + gap, |schema| async move {
        // Each commit is on both before it is acknowledged.
        let synchronous = ["synchronous_standby_names=*", "wal_receiver_status_interval=1s"];
        let Some(mut primary) = Instance::start(&schema, &synchronous[1..]).await else { return };
        let admin = primary.admin().await;
        let standby = primary.standby(&[]).await;
        admin.execute("alter system set synchronous_standby_names = '*'", ()).await.unwrap();
        admin.execute("select pg_reload_conf()", ()).await.unwrap();
        admin.batch_execute("create schema load").await.unwrap();
        let mut config = primary.config();
        config.host_path(standby.socket_dir()).target_session_attrs(TargetSessionAttrs::ReadWrite);
        let db = Database::builder(config).max(MAX).connect().await.unwrap();
        let load = Load::start(&db, &admin, "load", true).await;
        sleep(SECS(1)).await;
        primary.stop("QUIT").await;
        sleep(gap).await;
        standby.promote().await;
        let admin = standby.admin().await;
        assert_eq!(number(&admin, "select count(*) from load.accounts").await, 20);
        sleep(SECS(1)).await;
        let full = time_to_full_size(&db, MAX).await;
        let counts = load.finish(&admin).await;
        assert!(number(&db, "select (not pg_is_in_recovery())::int::int8").await == 1);
        print(&format!("a standby took over, full size after {full:?} under load"), &counts);
    });
}

/// Two databases need more connections than the server has.
pub(crate) fn a_server_has_no_connection_left() {
    run_within(SECS(60), |schema| async move {
        let settings = ["max_connections=10", "superuser_reserved_connections=0", "max_wal_senders=0"];
        let Some(server) = Instance::start(&schema, &settings).await else { return };
        let greedy = Database::builder(server.config()).max(10).connect().await.unwrap();
        time_to_full_size(&greedy, 10).await;
        let db = Database::builder(server.config()).max(20).acquire_timeout(SECS(2)).build().unwrap();
        let begun = Instant::now();
        let mut waiting = JoinSet::new();
        for _ in 0..100 {
            let db = db.clone();
            waiting.spawn(async move { db.execute("select 1", ()).await.unwrap_err() });
        }
        for error in waiting.join_all().await {
            assert!(error.is_timeout(), "{error:?}");
            assert_eq!(error.code().map(|code| code.code()), Some("53300"), "{error:?}");
            assert!(chain(&error).last().unwrap().contains("too many clients"), "{error:?}");
        }
        let attempts = db.snapshot().create_failures;
        // At the begin, and 15 a second: a busy machine takes longer than the two seconds that they wait.
        let most = 1 + (15.0 * begun.elapsed().as_secs_f64()) as u64;
        assert!(
            attempts <= most,
            "{attempts} attempts, more than {most}, for 100 calls that wait two seconds"
        );

        // All that wait are served as soon as there is room again.
        let mut waiting = JoinSet::new();
        for _ in 0..100 {
            let db = db.clone();
            waiting.spawn(async move { db.execute("select 1", ()).await });
        }
        sleep(Duration::from_millis(200)).await;
        assert!(greedy.close(SECS(10)).await.stragglers.is_empty());
        for served in waiting.join_all().await {
            assert_eq!(served.unwrap(), 1);
        }
        let snapshot = db.snapshot();
        assert!((1..=10).contains(&(snapshot.idle + snapshot.in_use)), "{snapshot:?}");
        print("attempts while the server had no connection left", &attempts);
    });
}
