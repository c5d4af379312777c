//! The end of a rule in the connection to an adapter.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use serde_json::{Value, json};

use super::{link::Link, wire::Members};
use crate::{AdapterError, Verdict};

/// Whether the implementation has taken settings, and whether it has refused some.
#[derive(Debug, Default)]
pub(super) struct SettingsSeen {
    taken: AtomicBool,
    refused: AtomicBool,
}

impl SettingsSeen {
    pub(super) fn refuses_all(&self) -> bool {
        self.refused.load(Relaxed) && !self.taken.load(Relaxed)
    }
}

/// The rule's end of a [`Link`]; the last one closes it.
pub(crate) struct Session {
    pub(crate) link: Arc<Link>,
    pub(super) settings: Arc<SettingsSeen>,
    /// Whether the implementation tells when it lets go of an attempt.
    pub(crate) tells_drops: bool,
    /// Whether the wait for the next result of a stream can be cancelled, and made again.
    pub(crate) cuts: bool,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.link.close();
    }
}

impl Session {
    /// Configures something: returns its id.
    pub(crate) fn configure(&self, what: &str, settings: Value) -> Result<u64, AdapterError> {
        let id = self.link.id();
        let (name, event) = self.link.ask(id, &json!({"do": what, "id": id, "settings": settings}));
        let why = event.text("says").unwrap_or("no reason").to_owned();
        match name.as_str() {
            "configured" => {
                self.settings.taken.store(true, Relaxed);
                Ok(id)
            }
            "refused" => {
                self.settings.refused.store(true, Relaxed);
                Err(AdapterError::Refused(why))
            }
            "not expressible" => Err(AdapterError::Verdict(Verdict::NotExpressible(why))),
            _ => self.link.refuse(&format!("the settings are answered by {name}")),
        }
    }
}
