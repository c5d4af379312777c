//! The text and the parts of a group's error.

use std::{error::Error, future::pending, num::ParseIntError, pin::Pin};

use evenkeel_task::{BoxError, GroupError, group};
use evenkeel_testkit::World;
use tokio::time::sleep;

use crate::{err, ms, throw};

/// An error with a cause.
#[derive(Debug)]
struct Outer(ParseIntError);

impl std::fmt::Display for Outer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("bad port")
    }
}

impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

fn outer() -> Outer {
    Outer("x".parse::<u8>().unwrap_err())
}

/// Returns a group with an error and then a panic, and the lines that spawned the two tasks.
async fn fail_twice() -> (GroupError, [u32; 2]) {
    struct Sore;
    impl Drop for Sore {
        fn drop(&mut self) {
            throw("sore")
        }
    }
    let mut lines = [0, 0];
    let error = group(async |g| {
        lines[0] = line!() + 1;
        g.task("web").spawn(async {
            sleep(ms(1200)).await;
            Err::<(), _>(outer())
        });
        lines[1] = line!() + 1;
        g.spawn(async {
            let _sore = Sore;
            pending::<()>().await
        });
        g.spawn(pending::<()>());
        Ok(())
    });
    (error.await.unwrap_err(), lines)
}

#[test]
fn one_line_without_causes_and_a_list_with_them() {
    World::run(async |_| {
        let (error, lines) = fail_twice().await;
        assert!(error.failures().all(|failure| failure.place.file() == file!()));
        assert!(error.failures().map(|failure| failure.place.line()).eq(lines));
        let (web, sore) = (error.first().place, error.failures().nth(1).unwrap().place);
        let line = format!("task 'web' ({web}) failed after 1.2s; 1 more failed, 1 cancelled");
        assert_eq!(error.to_string(), line);
        let list = format!(
            "{line}\n  task 'web' ({web}) failed after 1.2s: bad port: invalid digit found in string\
             \n  task ({sore}) panicked after 1.2s: panicked: sore"
        );
        assert_eq!(format!("{error:#}"), list);
    });
}

#[test]
fn the_line_counts_only_what_there_is() {
    World::run(async |_| {
        let alone = group(async |_g| Err::<(), BoxError>("x".into())).await.unwrap_err();
        assert!(alone.to_string().ends_with(") failed after 0ns"), "{alone}");
        let cancelled = group(async |g| {
            g.spawn(pending::<()>());
            Err::<(), BoxError>("x".into())
        });
        let cancelled = cancelled.await.unwrap_err();
        assert!(cancelled.to_string().ends_with(") failed after 0ns; 1 cancelled"), "{cancelled}");
        let more = group(async |g| {
            g.spawn(async { err("x") });
            g.spawn(async { err("y") });
            Ok(())
        });
        let more = more.await.unwrap_err();
        assert!(more.to_string().ends_with(") failed after 0ns; 1 more failed"), "{more}");
        let aborted = group(async |g| {
            g.stop().abort("why");
            Ok(())
        });
        let aborted = aborted.await.unwrap_err();
        assert!(aborted.to_string().ends_with(") was aborted after 0ns: why"), "{aborted}");
        assert!(aborted.source().is_none());
    });
}

#[test]
fn the_first_cause_is_the_source_and_can_be_had_by_value() {
    World::run(async |_| {
        let (error, _) = fail_twice().await;
        assert_eq!(error.source().unwrap().to_string(), "bad port");
        assert_eq!(error.source().unwrap().source().unwrap().to_string(), "invalid digit found in string");
        assert!(error.downcast_ref::<Outer>().is_some());
        assert!(error.downcast_ref::<ParseIntError>().is_none());
        let boxed: BoxError = error.into();
        let error = boxed.downcast::<GroupError>().unwrap();
        let evenkeel_task::Cause::Error(first) = error.into_failures().next().unwrap().cause else {
            panic!()
        };
        assert_eq!(first.downcast::<Outer>().unwrap().0, outer().0);
    });
}

#[test]
fn an_error_may_be_nested_to_any_depth() {
    fn fail(depth: u32) -> Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>> {
        Box::pin(async move {
            if depth == 0 {
                return err("the innermost");
            }
            let run = group(async move |g| {
                g.spawn(fail(depth - 1));
                Ok(())
            });
            Ok(run.await?)
        })
    }
    World::run(async |_| {
        let error = fail(2000).await.unwrap_err();
        assert!(error.to_string().contains("failed after 0ns"));
        let small = std::thread::Builder::new().stack_size(64 << 10);
        small.spawn(move || drop(error)).unwrap().join().unwrap();
    });
}

#[test]
fn odd_names_stay_on_one_line() {
    World::run(async |_| {
        let name = r"task 'zwölf '12'\n\r\u{1b}[31m\u{0}' (";
        let run = group(async |g| {
            g.task("zwölf '12'\n\r\u{1b}[31m\0").spawn(async {
                sleep(ms(5)).await;
                err("no")
            });
            sleep(ms(1)).await;
            let text = g.live()[0].to_string();
            assert!(text.starts_with(name), "{text}");
            Ok(())
        });
        let text = run.await.unwrap_err().to_string();
        assert!(text.starts_with(name), "{text}");
        let aborted = group(async |g| {
            g.stop().abort("two\nlines");
            Ok(())
        });
        let aborted = aborted.await.unwrap_err();
        assert!(aborted.to_string().ends_with(r": two\nlines"), "{aborted}");
    });
}
