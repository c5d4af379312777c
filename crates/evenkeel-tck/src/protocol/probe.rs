//! A task or a body whose life is in another process: its script runs here as the events say.

use std::{
    cell::Cell,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, Weak},
    task::{Context, Poll, Waker},
};

use evenkeel_base::lock;
use tokio::{
    sync::oneshot,
    task::{AbortHandle, spawn_local},
};

use super::{
    link::Handler,
    session::Session,
    wire::{Members, Object},
};
use crate::BoxFuture;

thread_local! {
    /// The task whose script is polled.
    static CURRENT: Cell<Option<u64>> = const { Cell::new(None) };
}

type Playing = BoxFuture<'static, ()>;

/// The task whose script is polled, if there is one.
pub(super) fn current() -> Option<u64> {
    CURRENT.get()
}

/// The script of a task is polled until this is dropped, also by a panic of the script.
struct Polling {
    outer: Option<u64>,
}

impl Polling {
    fn begin(id: u64) -> Self {
        Self { outer: CURRENT.replace(Some(id)) }
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        CURRENT.set(self.outer);
    }
}

/// A task or a body whose life is in the implementation.
pub(super) struct Probe {
    id: u64,
    session: Weak<Session>,
    this: Weak<Self>,
    state: Mutex<State>,
}

struct State {
    life: Stage,
    drain: Option<oneshot::Sender<Option<String>>>,
    end: Option<oneshot::Sender<()>>,
    running: Option<AbortHandle>,
}

enum Stage {
    /// It has not begun.
    Waiting(Box<dyn FnOnce() -> Playing + Send>),
    Running(Playing),
    /// The script is taken out, to be polled.
    Polled,
    Over,
}

impl Probe {
    pub(super) fn new(
        session: Weak<Session>,
        id: u64,
        begin: impl FnOnce(oneshot::Receiver<Option<String>>, oneshot::Receiver<()>) -> Playing + Send + 'static,
    ) -> Arc<Self> {
        let (drain, drained) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let life = Stage::Waiting(Box::new(move || begin(drained, ended)));
        let state = State { life, drain: Some(drain), end: Some(end), running: None };
        Arc::new_cyclic(|this| Self { id, session, this: this.clone(), state: Mutex::new(state) })
    }

    fn begin(&self) -> Result<(), String> {
        let waiting = mem::replace(&mut lock(&self.state).life, Stage::Polled);
        let Stage::Waiting(begin) = waiting else {
            lock(&self.state).life = waiting;
            return Err("it begins twice, or after its end".to_owned());
        };
        let playing = begin();
        let (Some(probe), Some(session)) = (self.this.upgrade(), self.session.upgrade()) else {
            return Ok(());
        };
        let running = spawn_local(Running { probe, _session: session }).abort_handle();
        let mut state = lock(&self.state);
        state.life = Stage::Running(playing);
        state.running = Some(running);
        Ok(())
    }

    /// The implementation has run it to the end of its script.
    fn ended(&self) -> Result<(), String> {
        let end = lock(&self.state).end.take();
        let _ = end.map(|end| end.send(()));
        if self.poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            return Err("it ends without a result".to_owned());
        }
        self.leave();
        Ok(())
    }

    /// The implementation has let go of it.
    fn dropped(&self) -> Result<(), String> {
        let life = mem::replace(&mut lock(&self.state).life, Stage::Over);
        if matches!(life, Stage::Over) {
            return Err("it is dropped after its end".to_owned());
        }
        drop(life);
        self.leave();
        Ok(())
    }

    fn leave(&self) {
        let running = lock(&self.state).running.take();
        if let Some(running) = running {
            running.abort();
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let life = mem::replace(&mut lock(&self.state).life, Stage::Polled);
        let Stage::Running(mut playing) = life else {
            let is_over = matches!(life, Stage::Over);
            lock(&self.state).life = life;
            return if is_over { Poll::Ready(()) } else { Poll::Pending };
        };
        let polled = {
            let _polling = Polling::begin(self.id);
            playing.as_mut().poll(cx)
        };
        let next = if polled.is_pending() { Stage::Running(playing) } else { Stage::Over };
        let mut state = lock(&self.state);
        // It may have been dropped meanwhile.
        let unused =
            if matches!(state.life, Stage::Polled) { mem::replace(&mut state.life, next) } else { next };
        drop(state);
        drop(unused);
        polled
    }
}

impl Handler for Probe {
    fn event(&self, name: &str, event: &Object) -> Result<(), String> {
        match name {
            "began" => self.begin(),
            "drained" => {
                let reason =
                    if event.is_there("reason") { Some(event.text("reason")?.to_owned()) } else { None };
                let drain = lock(&self.state).drain.take();
                let _ = drain.map(|drain| drain.send(reason));
                Ok(())
            }
            "ended" => self.ended(),
            "dropped" => self.dropped(),
            other => Err(format!("a task has no event {other:?}")),
        }
    }
}

/// A script that runs until its end, or until the implementation lets go of the task. The link is driven as long.
struct Running {
    probe: Arc<Probe>,
    _session: Arc<Session>,
}

impl Future for Running {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.probe.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::{Polling, current};

    #[test]
    fn a_script_that_panics_is_the_current_one_no_more() {
        let outer = Polling::begin(1);
        let script = AssertUnwindSafe(|| {
            let _polling = Polling::begin(2);
            assert_eq!(current(), Some(2));
            panic!("the script panics");
        });
        assert!(catch_unwind(script).is_err());
        assert_eq!(current(), Some(1));
        drop(outer);
        assert_eq!(current(), None);
    }
}
