//! Waits for the rate of a key.

use std::{fmt, sync::Arc};

use evenkeel_limit::{Keyed, RateLimiter};
use evenkeel_testkit::World;
use tokio::{
    spawn,
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{all_forms, ends, line, only};
use crate::units::{line_of, look, secs};

/// Returns the line with this mark.
fn at(mark: &str) -> u32 {
    line_of(include_str!("keys.rs"), mark)
}

#[test]
fn a_keyed_limit_is_one_resource_with_the_longest_queues_in_a_note() {
    World::run(async |world| {
        let start = Instant::now();
        let keys = Arc::new(Keyed::<String>::per_second(1).burst(1).named("clients"));
        let mut waiting = Vec::new();
        for key in ["secret-a", "secret-b", "secret-b", "secret-b", "secret-c", "free"] {
            let keys = keys.clone();
            waiting.push(spawn(async move { keys.acquire(key).await })); // wants its key
            world.settle().await;
        }
        for key in ["secret-a", "secret-c"] {
            keys.penalize(key, secs(5));
        }
        let limit = only();
        assert_eq!(limit.to_string(), "keyed rate limit 'clients'");
        assert_eq!(limit.waiters.len(), 2, "the first of each key had a permit");
        let wait = |key: &'static str| {
            let keys = keys.clone();
            spawn(async move { keys.acquire(key).await }) // wants its key, too
        };
        waiting.extend(["secret-a", "secret-c", "secret-c"].map(wait));
        world.settle().await;
        let limit = only();
        assert_eq!((limit.capacity, limit.in_use), (1, 1));
        assert_eq!(
            limit.notes,
            ["waiting in 3 queues, of which the longest: 2 for key #1, 2 for key #3, 1 for key #2"]
        );
        assert_eq!(ends(&limit.waiters, start), [secs(1), secs(2), secs(5), secs(5), secs(6)]);
        let labels: Vec<_> = limit.waiters.iter().map(|waiter| waiter.label.as_deref().unwrap()).collect();
        assert_eq!(labels, ["key #1", "key #1", "key #2", "key #3", "key #3"]);
        assert_eq!(line(&limit.waiters[0]), at("wants its key"));
        assert_eq!(line(&limit.waiters[2]), at("wants its key, too"));
        let text = all_forms(&look());
        assert!(!text.contains("secret"), "a key may be a token: {text}");
        for task in waiting {
            task.await.unwrap();
        }
        assert!(only().waiters.is_empty() && only().notes.is_empty());
        drop(keys);
        assert!(look().resources.is_empty());
    });
}

#[test]
fn keys_are_shown_if_their_limit_says_so() {
    /// A key whose text is long, has a line break, and takes no part in a lookup under the lock.
    #[derive(Clone, Hash, PartialEq, Eq)]
    struct Client(u32);

    impl fmt::Debug for Client {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "no {}\nof {}", self.0, "x".repeat(1000))
        }
    }

    World::run(async |world| {
        let keys = Arc::new(Keyed::<Client>::per_second(1).max_keys(2).show_keys());
        let mut waiting = Vec::new();
        for key in [1, 1, 2, 2, 3, 3, 4] {
            let keys = keys.clone();
            waiting.push(spawn(async move { keys.acquire(&Client(key)).await }));
            world.settle().await;
        }
        let limit = only();
        let mut labels: Vec<_> = limit.waiters.iter().map(|waiter| waiter.label.clone().unwrap()).collect();
        labels.sort_unstable();
        let key = |n| format!("key no {n}\u{fffd}of {}", "x".repeat(64 - 12));
        let overflow = "keys beyond the maximum".to_owned();
        assert_eq!(labels, [key(1), key(2), overflow.clone(), overflow]);
        waiting.iter().for_each(JoinHandle::abort);
        // A limiter of the program's own for a key is a resource of its own.
        keys.override_key(Client(9), RateLimiter::per_second(1).start_empty().named("nine"));
        let task = spawn(async move { keys.acquire(&Client(9)).await });
        world.settle().await;
        let dump = look();
        let nine = dump.resources.iter().find(|resource| resource.name.as_deref() == Some("nine")).unwrap();
        assert_eq!((nine.waiters.len(), dump.resources.len()), (1, 2), "{dump}");
        task.abort();
    });
}

/// The limiters of more keys than a look takes at a time.
#[test]
fn a_look_finds_the_waiters_of_thousands_of_keys() {
    World::run(async |world| {
        let keys = Arc::new(Keyed::<u32>::per_second(1).burst(1));
        for key in 0..2500 {
            keys.acquire(&key).await;
            let keys = keys.clone();
            spawn(async move { keys.acquire(&key).await });
        }
        world.settle().await;
        let limit = only();
        assert_eq!(limit.waiters.len(), 2500);
        assert_eq!(
            limit.notes,
            [
                "waiting in 2500 queues, of which the longest: 1 for key #1, 1 for key #2, 1 for key #3, 1 for key #4, 1 for key #5"
            ]
        );
        sleep(secs(2)).await;
        assert!(only().waiters.is_empty());
    });
}
