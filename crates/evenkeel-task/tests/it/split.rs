//! Errors of nested groups: paths, trees and parts.

use std::{fmt::Error as FmtError, num::ParseIntError};

use evenkeel_task::{BoxError, Cause, Group, GroupError};
use evenkeel_testkit::World;

use crate::{failures, throw};

fn number() -> Result<u8, ParseIntError> {
    "x".parse()
}

/// Returns a tree: a number and a panic above, a number and another error below.
async fn tree() -> GroupError {
    let run = Group::builder().collect_all().run(async |g| {
        g.task("a").spawn(async { number() });
        g.task("b").spawn(Group::builder().collect_all().run(async |g| {
            g.task("c").spawn(async { number() });
            g.task("d").spawn(async { Err::<(), _>(FmtError) });
            g.spawn(async {});
            Ok(())
        }));
        g.task("e").spawn(async { throw("bug") });
        Ok(())
    });
    run.await.unwrap_err()
}

const NUMBER: &str = "invalid digit found in string";

#[test]
fn a_nested_group_is_a_cause_of_its_own() {
    World::run(async |_| {
        let error = tree().await;
        let d = FmtError.to_string();
        let expected =
            [format!("a: {NUMBER}"), "e: panicked: bug".to_owned(), format!("b: [c: {NUMBER}, d: {d}]")];
        assert_eq!(failures(&error), expected);
        let paths: Vec<_> = error.leaves().into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["a", "e", "b/c", "b/d"]);
    });
}

#[test]
fn the_tree_is_indented() {
    World::run(async |_| {
        let error = tree().await;
        let place: Vec<_> = error.leaves().iter().map(|(_, failure)| failure.place).collect();
        let b = error.failures().last().unwrap().place;
        let lines = [
            format!("task 'a' ({}) failed after 0ns; 2 more failed", place[0]),
            format!("  task 'a' ({}) failed after 0ns: {NUMBER}", place[0]),
            format!("  task 'e' ({}) panicked after 0ns: panicked: bug", place[1]),
            format!("  task 'b' ({b}) failed after 0ns; 1 more failed"),
            format!("    task 'c' ({}) failed after 0ns: {NUMBER}", place[2]),
            format!("    task 'd' ({}) failed after 0ns: {FmtError}", place[3]),
        ];
        assert_eq!(format!("{error:#}"), lines.join("\n"));
    });
}

#[test]
fn an_error_is_found_through_nested_groups() {
    World::run(async |_| {
        let run = Group::builder().run(async |g| {
            g.spawn(Group::builder().run(async |_g| {
                let inner = Group::builder().run(async |_g| Ok(number()?));
                Ok(inner.await?)
            }));
            Ok(())
        });
        let error = run.await.unwrap_err();
        assert!(error.downcast_ref::<ParseIntError>().is_some());
        assert!(error.downcast_ref::<GroupError>().is_some());
        assert!(error.downcast_ref::<FmtError>().is_none());
        let place = error.first().place;
        assert_eq!(error.leaves()[0].0, format!("{place}/body/body"));
    });
}

#[test]
fn parts_keep_the_tree() {
    World::run(async |_| {
        let (numbers, rest) = tree().await.split::<ParseIntError>();
        let (numbers, rest) = (numbers.unwrap(), rest.unwrap());
        assert_eq!(failures(&numbers), [format!("a: {NUMBER}"), format!("b: [c: {NUMBER}]")]);
        assert_eq!(failures(&rest), ["e: panicked: bug".to_owned(), format!("b: [d: {FmtError}]")]);
        assert_eq!((numbers.finished(), rest.finished()), (0, 0));
        let Cause::Nested(nested) = &rest.failures().nth(1).unwrap().cause else { panic!() };
        assert_eq!(nested.finished(), 1);

        let (none, all) = tree().await.split::<std::io::Error>();
        assert!(none.is_none());
        assert_eq!(all.unwrap().leaves().len(), 4);
        let (all, none) = tree().await.split_by(|failure| !matches!(failure.cause, Cause::Nested(_)));
        assert!(none.is_none());
        assert_eq!(all.unwrap().leaves().len(), 4);
        let (panics, _) = tree().await.split_by(|failure| matches!(failure.cause, Cause::Panic(_)));
        assert_eq!(failures(&panics.unwrap()), ["e: panicked: bug"]);
    });
}

#[test]
fn an_error_that_is_a_panic_is_one() {
    World::run(async |_| {
        let run = Group::builder().run(async |g| {
            g.task("a").spawn(async {
                evenkeel_task::catch_panic(async { throw("bug") }).await.map_err(BoxError::from)
            });
            Ok(())
        });
        assert_eq!(failures(&run.await.unwrap_err()), ["a: panicked: bug"]);
    });
}
