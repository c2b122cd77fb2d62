//! A panic in the core is an ordinary error, and two threads at once are told apart from what broke before.

#![allow(clippy::panic, reason = "panics are what is tested")]

#[path = "../src/exclusive.rs"]
mod exclusive;

use std::sync::mpsc;
use std::thread;

use exclusive::{Exclusive, Refused, caught};

#[test]
fn a_panic_becomes_an_error_and_leaves_the_value_broken() {
    let value = Exclusive::new("converter", 1);
    let failed = value.enter(|_| -> Result<(), Refused> { panic!("index {} is out", 7) });
    let Err(Refused::Panicked { what, why }) = &failed else {
        panic!("got {failed:?}");
    };
    assert_eq!((*what, why.as_str()), ("converter", "index 7 is out"));
    let broken = Refused::Broken { what: "converter" };
    assert_eq!(value.enter(|_| Ok(())), Err(broken.clone()));
    assert_eq!(value.look(|_| ()), Err(broken.clone()));
    assert!(!broken.to_string().contains("another thread"));
    assert!(broken.to_string().contains("cannot be used any more"));
}

#[test]
fn a_panic_of_a_function_becomes_an_error() {
    let failed = caught("tone()", || -> Result<(), Refused> { panic!("why") });
    assert_eq!(
        failed.map_err(|refused| refused.to_string()),
        Err("the audio core failed in tone(), a bug of trunkline: why".to_owned())
    );
}

#[test]
fn a_second_thread_is_refused_and_a_glance_is_not_the_reason() {
    let value = Exclusive::new("ring", 1);
    let (entered, seen) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    let value = &value;
    thread::scope(|scope| {
        scope.spawn(move || {
            value.enter(|number| {
                *number = 2;
                let _ = (entered.send(()), left.recv());
                Ok::<(), Refused>(())
            })
        });
        assert!(seen.recv().is_ok());
        assert_eq!(value.enter(|_| Ok(())), Err(Refused::Busy { what: "ring" }));
        assert_eq!(value.look(|number| *number), Ok(None));
        drop(leave);
    });
    assert_eq!(value.look(|number| *number), Ok(Some(2)));
    assert_eq!(value.enter(|number| Ok::<i32, Refused>(*number)), Ok(2));
}
