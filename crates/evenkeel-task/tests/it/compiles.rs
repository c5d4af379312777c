//! The call shapes that have to compile without annotations, wherever they are used.

use std::pin::Pin;

use evenkeel_task::{BoxError, Group, GroupError, group};

async fn fetch(url: String) -> Result<usize, std::io::Error> {
    Ok(url.len())
}

async fn in_an_async_fn(urls: Vec<String>) -> Result<(), GroupError> {
    group(async |g| {
        for url in urls {
            g.spawn(fetch(url));
        }
        Ok(())
    })
    .await
}

async fn borrows(urls: &[String]) -> Result<usize, BoxError> {
    let mut seen = 0;
    let all = group(async |g| {
        for url in urls {
            seen += 1;
            g.task(url.clone()).spawn(fetch(url.clone()));
        }
        let port: u16 = "80".parse()?;
        Ok(usize::from(port))
    })
    .await?;
    Ok(all + seen)
}

/// The shape that `#[async_trait]` gives an async method.
trait Crawl {
    fn crawl<'a>(&'a self) -> Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + 'a>>;
}

impl Crawl for Vec<String> {
    fn crawl<'a>(&'a self) -> Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + 'a>> {
        Box::pin(async move {
            group(async |g| {
                for url in self {
                    g.spawn(fetch(url.clone()));
                }
                Ok(())
            })
            .await?;
            group(|g: Group| async move {
                g.spawn(async {});
                Ok(())
            })
            .await?;
            Ok(())
        })
    }
}

async fn for_ever() -> GroupError {
    group(async |g| {
        g.spawn(async {
            loop {
                tokio::task::yield_now().await;
            }
        });
        g.spawn(async { Err::<(), _>("enough") });
        Ok(())
    })
    .await
    .unwrap_err()
}

#[tokio::test]
async fn in_a_spawned_task() {
    let urls = || vec!["a".to_owned(), "bc".to_owned()];
    tokio::spawn(async move {
        let urls = urls();
        group(async move |g| {
            for url in urls {
                g.spawn(fetch(url));
            }
            Ok(())
        })
        .await
        .unwrap();
    })
    .await
    .unwrap();
    tokio::spawn(in_an_async_fn(urls())).await.unwrap().unwrap();
    assert_eq!(tokio::spawn(async move { borrows(&urls()).await.unwrap() }).await.unwrap(), 82);
    assert_eq!(tokio::spawn(for_ever()).await.unwrap().cancelled(), 1);
    tokio::spawn(async move { urls().crawl().await.unwrap() }).await.unwrap();
}
