//! Operations cut short at each of their awaits.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use evenkeel_testkit::{
    cancel,
    net::{MemListener, MemNet, MemStream, Toxics},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Mutex,
    time::sleep,
};

use super::{ADDRESS, connected};
use crate::{MS, SECOND};

#[test]
fn connecting_opens_one_connection_or_none() {
    let setup = async || {
        let net = MemNet::new().backlog(1);
        let mut listener = net.listen(ADDRESS).unwrap();
        let link = net.link(ADDRESS);
        // The first fills the backlog; the link is partitioned for a while.
        let first = net.connect(ADDRESS).await.unwrap();
        link.connect_delay(SECOND);
        link.upstream(Toxics::new().partition());
        let accepting = async move {
            sleep(3 * SECOND).await;
            link.heal();
            sleep(3 * SECOND).await;
            drop((first, listener.accept().await));
            let _held = listener.accept().await;
            listener.accept().await;
        };
        (net, Rc::new(tokio::spawn(accepting).abort_handle()))
    };
    let cuts = cancel::every_point(
        setup,
        async |(net, _)| net.connect(ADDRESS).await.unwrap(),
        async |(net, accepting)| {
            let stats = net.link(ADDRESS).snapshot();
            assert_eq!((stats.open, stats.refused), (0, 0));
            net.connect(ADDRESS).await.unwrap();
            accepting.abort();
        },
    );
    assert_eq!(cuts.points(), 3, "the delay, the partition, the backlog");
}

#[test]
fn accepting_loses_no_connection() {
    let setup = async || {
        let net = MemNet::new();
        let listener = net.listen(ADDRESS).unwrap();
        tokio::spawn(async move {
            sleep(SECOND).await;
            let mut client = net.connect(ADDRESS).await.unwrap();
            // Dropping it there ends the connection.
            let _ = client.read_u8().await;
        });
        Rc::new(RefCell::new((Some(listener), Vec::<MemStream>::new())))
    };
    async fn accept(state: &RefCell<(Option<MemListener>, Vec<MemStream>)>) {
        // Returned even when the operation is cut.
        struct Back<'a>(&'a RefCell<(Option<MemListener>, Vec<MemStream>)>, Option<MemListener>);
        impl Drop for Back<'_> {
            fn drop(&mut self) {
                self.0.borrow_mut().0 = self.1.take();
            }
        }
        let listener = state.borrow_mut().0.take();
        let mut back = Back(state, listener);
        let stream = back.1.as_mut().unwrap().accept().await;
        state.borrow_mut().1.push(stream);
    }
    let cuts = cancel::every_point(
        setup,
        async |state| accept(&state).await,
        async |state| {
            if state.borrow().1.is_empty() {
                accept(&state).await;
            }
            assert_eq!(state.borrow().1.len(), 1);
        },
    );
    assert_eq!(cuts.points(), 1);
}

#[test]
fn reading_and_writing_lose_no_byte() {
    let setup = async || {
        let (client, mut server, link) = connected(&MemNet::new().buffer(1)).await;
        link.both(Toxics::new().latency(10 * MS));
        tokio::spawn(async move {
            // An echo.
            while let Ok(byte) = server.read_u8().await {
                server.write_u8(byte).await.unwrap();
            }
        });
        Rc::new((Mutex::new(client), Cell::new(0_u8), Cell::new(0_u8)))
    };
    async fn read(stream: &mut MemStream, got: &Cell<u8>) {
        assert_eq!(stream.read_u8().await.unwrap(), got.get());
        got.set(got.get() + 1);
    }
    let cuts = cancel::every_point(
        setup,
        async |state| {
            let (stream, sent, got) = &*state;
            let mut stream = stream.lock().await;
            while sent.get() < 4 {
                // Twice the size of the buffer, so that writing waits as well.
                for _ in 0..2 {
                    stream.write_u8(sent.get()).await.unwrap();
                    sent.set(sent.get() + 1);
                }
                read(&mut stream, got).await;
            }
        },
        async |state| {
            let (stream, sent, got) = &*state;
            let mut stream = stream.lock().await;
            while got.get() < sent.get() {
                read(&mut stream, got).await;
            }
        },
    );
    assert_eq!(cuts.points(), 3);
}
