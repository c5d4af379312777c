//! The receipts of the items in hand, and copies of items that may become dead letters.

use std::{fmt, sync::Mutex};

use evenkeel_base::{FirstPanic, lock};

use crate::{Ack, Delivery, Source, item_key::ItemKey};

type Receipt<S> = <<S as Source>::Ack as Ack>::Receipt;

/// The typed half of the items in hand, under the same keys.
pub(crate) struct Deliveries<R, T> {
    slots: Mutex<Vec<Option<Slot<R, T>>>>,
}

pub(crate) type DeliveriesOf<S> = Deliveries<Receipt<S>, <S as Source>::Item>;

struct Slot<R, T> {
    number: u64,
    receipt: R,
    /// A copy, if this is the last attempt before the dead letter.
    original: Option<T>,
}

/// The part of the deliveries that needs no types.
pub(crate) trait Origins: Send + Sync {
    /// Returns the identity of an item.
    fn origin(&self, key: ItemKey) -> String;

    /// Drops the copies of items that are gone.
    fn release(&self, keys: &[ItemKey]);
}

impl<R: Copy, T> Deliveries<R, T> {
    pub(crate) const fn new() -> Self {
        Self { slots: Mutex::new(Vec::new()) }
    }

    /// Keeps the receipts of deliveries without copies, and passes each item on to `carry`, which only moves it.
    pub(crate) fn insert_all(
        &self,
        keys: &[ItemKey],
        deliveries: Vec<Delivery<T, R>>,
        mut carry: impl FnMut(ItemKey, u32, T),
    ) {
        let mut before = Vec::new();
        let mut slots = lock(&self.slots);
        if let Some(last) = keys.iter().map(|key| key.index).max()
            && slots.len() <= last
        {
            slots.resize_with(last + 1, || None);
        }
        for (key, Delivery { item, receipt, attempt, .. }) in keys.iter().zip(deliveries) {
            let slot = Slot { number: key.number, receipt, original: None };
            if let Some(Slot { original: Some(original), .. }) = slots[key.index].replace(slot) {
                before.push(original);
            }
            carry(*key, attempt, item);
        }
        drop(slots);
    }

    pub(crate) fn insert(&self, entries: impl Iterator<Item = (ItemKey, R, Option<T>)>) {
        let mut before = Vec::new();
        let mut slots = lock(&self.slots);
        for (key, receipt, original) in entries {
            if slots.len() <= key.index {
                slots.resize_with(key.index + 1, || None);
            }
            let slot = Slot { number: key.number, receipt, original };
            if let Some(Slot { original: Some(original), .. }) = slots[key.index].replace(slot) {
                before.push(original);
            }
        }
        drop(slots);
    }

    /// Returns these items with their receipts, but for those that are gone.
    pub(crate) fn receipts<K: Copy, V>(
        &self,
        entries: &[K],
        key: impl Fn(&K) -> ItemKey,
        with: impl Fn(K, R) -> V,
    ) -> Vec<V> {
        let slots = lock(&self.slots);
        let receipt = |entry: &K| {
            let key = key(entry);
            let slot = slots.get(key.index)?.as_ref().filter(|slot| slot.number == key.number)?;
            Some(with(*entry, slot.receipt))
        };
        entries.iter().filter_map(receipt).collect()
    }

    /// Returns the entry of an item, if it has one.
    fn slot<O>(&self, key: ItemKey, get: impl FnOnce(&mut Slot<R, T>) -> O) -> Option<O> {
        let mut slots = lock(&self.slots);
        slots.get_mut(key.index)?.as_mut().filter(|slot| slot.number == key.number).map(get)
    }
}

/// The part of the deliveries that writes dead letters, whatever their receipts are.
pub(crate) trait Originals<T>: Origins {
    /// Takes the copy of an item.
    fn take_original(&self, key: ItemKey) -> Option<T>;
}

impl<R: Copy + fmt::Display + Send + Sync, T: Send> Originals<T> for Deliveries<R, T> {
    fn take_original(&self, key: ItemKey) -> Option<T> {
        self.slot(key, |slot| slot.original.take()).flatten()
    }
}

impl<R: Copy + fmt::Display + Send + Sync, T: Send> Origins for Deliveries<R, T> {
    fn origin(&self, key: ItemKey) -> String {
        let receipt = self.slot(key, |slot| slot.receipt);
        receipt.map(|receipt| receipt.to_string()).unwrap_or_default()
    }

    fn release(&self, keys: &[ItemKey]) {
        let originals: Vec<T> = keys.iter().filter_map(|key| self.take_original(*key)).collect();
        // The panic of a destructor says nothing of the pipeline.
        FirstPanic::default().drop_each(originals);
    }
}
