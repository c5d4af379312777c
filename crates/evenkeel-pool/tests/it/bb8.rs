//! Managers of the crate bb8.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use bb8::ManageConnection;
use evenkeel_pool::{Bb8, GetError, Pool};
use evenkeel_testkit::World;

use crate::scripted::Refused;

#[derive(Clone, Default)]
struct Numbers {
    made: Arc<AtomicUsize>,
    valid: Arc<AtomicUsize>,
    refuses: Arc<AtomicBool>,
}

impl ManageConnection for Numbers {
    type Connection = usize;
    type Error = Refused;

    async fn connect(&self) -> Result<usize, Refused> {
        if self.refuses.load(SeqCst) { Err(Refused) } else { Ok(self.made.fetch_add(1, SeqCst)) }
    }

    async fn is_valid(&self, _: &mut usize) -> Result<(), Refused> {
        self.valid.fetch_add(1, SeqCst);
        if self.refuses.load(SeqCst) { Err(Refused) } else { Ok(()) }
    }

    fn has_broken(&self, number: &mut usize) -> bool {
        *number == 100
    }
}

#[test]
fn it_creates_checks_and_judges() {
    World::run(async |_| {
        let numbers = Numbers::default();
        let pool = Pool::builder(Bb8::new(numbers.clone())).max(1).build().unwrap();
        assert_eq!(*pool.get().await.unwrap(), 0);
        assert_eq!((*pool.get().await.unwrap(), numbers.valid.load(SeqCst)), (0, 1));
        *pool.get().await.unwrap() = 100;
        assert_eq!(pool.snapshot().size, 0, "it was broken");
        drop(pool.get().await.unwrap());
        numbers.refuses.store(true, SeqCst);
        assert!(matches!(pool.get().await, Err(GetError::Create(Refused))));
        assert_eq!((pool.snapshot().discarded, pool.snapshot().create_failures), (2, 1));
    });
}
