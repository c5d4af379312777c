//! Code that must keep compiling.

use std::pin::Pin;

use evenkeel_pool::{Get, GetError, Lease, Pool};
use evenkeel_testkit::World;

use crate::scripted::{Refused, Scripted, pool};

trait Store {
    /// The signature that `async_trait` writes.
    fn load(&self) -> Pin<Box<dyn Future<Output = Result<usize, GetError<Refused>>> + Send + '_>>;
}

impl Store for Pool<Scripted> {
    fn load(&self) -> Pin<Box<dyn Future<Output = Result<usize, GetError<Refused>>> + Send + '_>> {
        Box::pin(async move {
            let mut lease = self.get().await?;
            lease.unfit = false;
            Ok(lease.id)
        })
    }
}

#[test]
fn leases_travel() {
    fn travels<T: Send + 'static>(value: T) -> T {
        value
    }
    fn shared<T: Send + Sync + Unpin>() {}
    shared::<Get<'_, Scripted>>();
    shared::<Pool<Scripted>>();
    shared::<GetError<Refused>>();

    World::run(async |_| {
        let (pool, _) = pool(1);
        let store: Box<dyn Store> = Box::new(pool.clone());
        assert_eq!(store.load().await.unwrap(), 0);

        let lease: Lease<Scripted> = travels(pool.get().await.unwrap());
        assert_eq!(format!("{lease:?}"), "Lease(Item 0)");
        let id = tokio::spawn(async move { lease.id }).await.unwrap();
        assert_eq!(id, 0);
        assert!(format!("{pool:?}").contains("idle: 1"));
        assert!(format!("{:?}", pool.get()).contains("compiles.rs"));
        let in_closure = async || -> Result<usize, Box<dyn std::error::Error>> { Ok(pool.get().await?.id) };
        assert_eq!(in_closure().await.unwrap(), 0);
    });
}
