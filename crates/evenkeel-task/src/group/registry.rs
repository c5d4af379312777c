//! The list of those who are in a group.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use super::task_entry::{Ended, Member};
use super::task_info::{State, TaskInfo};
use crate::paged_slab::Slab;
use crate::panic::FirstPanic;

const SHEETS: usize = 8;

/// On sheets, each with a lock of its own: a task is put on the one of the thread that first polls it, and most end
/// on the same thread. At a single list all threads would wait for each other.
#[derive(Debug)]
pub(super) struct Roll([OnceLock<Box<Mutex<Sheet>>>; SHEETS]);

#[derive(Debug, Default)]
struct Sheet {
    members: Slab<Member>,
    finished: usize,
    cancelled: usize,
}

/// Where a member is, as long as it is in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    sheet: u8,
    index: u32,
}

/// The sheet of this thread, in each roll.
fn mine() -> u8 {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: usize = THREADS.fetch_add(1, Ordering::Relaxed) % SHEETS;
    }
    MINE.try_with(|sheet| *sheet as u8).unwrap_or(0)
}

impl Roll {
    pub(super) const fn new() -> Self {
        Self([const { OnceLock::new() }; SHEETS])
    }

    // No code of the user runs under the lock.
    fn sheet(&self, sheet: u8) -> MutexGuard<'_, Sheet> {
        let sheet = self.0[usize::from(sheet)].get_or_init(Box::default);
        sheet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sheets(&self) -> impl Iterator<Item = (u8, MutexGuard<'_, Sheet>)> {
        (0..SHEETS as u8)
            .filter(|sheet| self.0[usize::from(*sheet)].get().is_some())
            .map(|sheet| (sheet, self.sheet(sheet)))
    }

    pub(super) fn insert(&self, member: Member) -> Key {
        let sheet = mine();
        let index = self.sheet(sheet).members.insert(member);
        Key { sheet, index }
    }

    /// Changes a member under the lock, with what is its own: nothing of others may be called or dropped by `f`.
    pub(super) fn with<T>(&self, key: Key, f: impl FnOnce(&mut Member) -> T) -> Option<T> {
        self.sheet(key.sheet).members.get_mut(key.index).map(f)
    }

    /// Keeps what wakes a member, and gives back what is not needed any more.
    pub(super) fn park(&self, key: Key, waker: Waker) -> Option<Waker> {
        match self.sheet(key.sheet).members.get_mut(key.index) {
            Some(member) => member.park(waker),
            None => Some(waker),
        }
    }

    /// Takes out a member that has ended, and counts it.
    pub(super) fn remove(&self, key: Key, ended: &Ended) -> Option<Member> {
        let mut sheet = self.sheet(key.sheet);
        let member = sheet.members.remove(key.index)?;
        sheet.count(&member, ended);
        Some(member)
    }

    /// Counts a member that has ended before it was put on the list.
    pub(super) fn count(&self, member: &Member, ended: &Ended) {
        self.sheet(mine()).count(member, ended);
    }

    /// Counts a task that was not let in.
    pub(super) fn refused(&self) {
        self.sheet(mine()).cancelled += 1;
    }

    /// How many have finished, and how many were cancelled.
    pub(super) fn counts(&self) -> (usize, usize) {
        self.sheets().fold((0, 0), |(finished, cancelled), (_, sheet)| {
            (finished + sheet.finished, cancelled + sheet.cancelled)
        })
    }

    /// The oldest first.
    pub(super) fn live(&self) -> Vec<TaskInfo> {
        let mut live = Vec::new();
        for (_, sheet) in self.sheets() {
            live.extend(sheet.members.iter().map(Member::info));
        }
        live.sort_by_key(|task| std::cmp::Reverse(task.age));
        live
    }

    /// Tells tasks on a page to abort, 1024 at most, and gives the page after it, if there is one.
    pub(super) fn abort(
        &self,
        page: Page,
        which: fn(State) -> bool,
        panics: &mut FirstPanic,
    ) -> Option<Page> {
        let page = self.from(page)?;
        let mut sheet = self.sheet(page.sheet);
        let which = |member: &&mut Member| !member.is_guest() && which(member.state());
        let members = sheet.members.page_mut(page.page).filter(which);
        let wakers: Vec<_> = members.filter_map(Member::abort).collect();
        drop(sheet);
        // Not under the lock, which a task takes to leave: the runtime may drop one here and now.
        panics.wake(wakers);
        self.from(Page { page: page.page + 1, ..page })
    }

    /// The first page that there is from this one on.
    fn from(&self, from: Page) -> Option<Page> {
        let mut pages = self.sheets().map(|(sheet, lines)| {
            let page = if sheet == from.sheet { from.page } else { 0 };
            (Page { sheet, page }, lines.members.pages())
        });
        pages.find(|(page, pages)| page.sheet >= from.sheet && page.page < *pages).map(|(page, _)| page)
    }
}

/// A part of the roll.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Page {
    sheet: u8,
    page: usize,
}

impl Sheet {
    fn count(&mut self, member: &Member, ended: &Ended) {
        match ended {
            _ if member.is_guest() => {}
            Ended::Finished => self.finished += 1,
            Ended::Cancelled => self.cancelled += 1,
            Ended::Failed(_) => {}
        }
    }
}
