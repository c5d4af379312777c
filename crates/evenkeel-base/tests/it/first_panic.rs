//! Foreign calls that must all be made, though one of them panics.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};

use evenkeel_base::FirstPanic;

struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic_any(PanicsOnDrop);
    }
}

struct PanicsOnceDropped;

impl Drop for PanicsOnceDropped {
    fn drop(&mut self) {
        panic_any("dropped");
    }
}

#[test]
fn every_call_is_made_and_the_first_panic_goes_on() {
    let mut calls = 0;
    let mut panics = FirstPanic::default();
    for payload in ["first", "second", "third"] {
        panics.catch(|| {
            calls += 1;
            panic_any(payload);
        });
    }
    assert_eq!(calls, 3);
    let payload = catch_unwind(AssertUnwindSafe(|| panics.resume())).expect_err("it goes on");
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"first"));

    FirstPanic::default().resume();
    assert!(FirstPanic::default().take().is_none());
}

#[test]
fn a_payload_that_panics_when_dropped_ends_nothing() {
    let mut panics = FirstPanic::default();
    panics.catch(|| panic_any("first"));
    panics.catch(|| panic_any(PanicsOnDrop));
    panics.drop_each([PanicsOnDrop, PanicsOnDrop]);
    let payload = panics.take().expect("the first panic");
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"first"));
}

#[test]
fn a_panic_that_nobody_wants_ends_nothing() {
    let mut panics = FirstPanic::default();
    panics.catch(|| panic_any(PanicsOnceDropped));
    drop(panics);

    // As in a future that unwinds while it keeps a panic for later: a second panic would abort the process.
    let unwinding = || {
        let mut panics = FirstPanic::default();
        panics.catch(|| panic_any(PanicsOnceDropped));
        panic_any("outer");
    };
    let payload = catch_unwind(unwinding).expect_err("it goes on");
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"outer"));
}

#[test]
fn a_thread_that_unwinds_gets_no_second_panic() {
    let unwinding = || {
        struct Resumes;
        impl Drop for Resumes {
            fn drop(&mut self) {
                let mut panics = FirstPanic::default();
                panics.catch(|| panic_any(PanicsOnDrop));
                panics.resume();
            }
        }
        let _resumes = Resumes;
        panic_any("outer");
    };
    let payload = catch_unwind(unwinding).expect_err("it goes on");
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"outer"));
}
