//! The facts that an adapter tells of itself: its library, its runtime, and what it claims of each pattern.

use std::{collections::HashMap, fmt::Display};

use serde_json::Value;

use super::{
    names::{PATTERNS, capabilities, unknown},
    wire::{Members, Object, VERSION},
};
use crate::rule::Runtime;

/// The facts that an adapter tells of itself.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) library: String,
    pub(super) version: String,
    pub(super) runtime: String,
    pub(super) can: Vec<String>,
    pub(super) patterns: HashMap<String, HashMap<String, Result<(), &'static str>>>,
}

impl Facts {
    pub(super) fn read(hello: &Object) -> Result<Self, String> {
        let version = hello.number("protocol")?;
        if version != VERSION {
            return Err(format!("it speaks version {version} of the protocol, and not {VERSION}"));
        }
        let can = hello.get("can").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut patterns = HashMap::new();
        for name in can.iter().filter_map(Value::as_str) {
            let known = Runtime::ALL.map(Runtime::name);
            if !known.contains(&name) {
                return Err(unknown("feature of a runtime", name, &known));
            }
        }
        for pattern in PATTERNS {
            let Some(claims) = hello.get(pattern) else { continue };
            let claims = claims.as_object().ok_or_else(|| format!("`{pattern}` is no object"))?;
            let known: Vec<String> = capabilities(pattern).into_iter().map(|(name, _)| name).collect();
            if let Some(name) = claims.keys().find(|name| !known.contains(name)) {
                return Err(unknown(&format!("capability of {pattern}"), name, &known));
            }
            let claims = claims.iter().map(|(name, claim)| (name.clone(), claimed(claim))).collect();
            patterns.insert(pattern.to_owned(), claims);
        }
        Ok(Self {
            library: hello.text("library")?.to_owned(),
            version: hello.text("version")?.to_owned(),
            runtime: hello.text("runtime")?.to_owned(),
            can: can.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
            patterns,
        })
    }
}

/// `true`, or the reason for which there is none.
fn claimed(claim: &Value) -> Result<(), &'static str> {
    match claim {
        Value::Bool(true) => Ok(()),
        // Reasons are for the whole run, and a child is asked for them when it starts.
        Value::String(why) => Err(Box::leak(why.clone().into_boxed_str())),
        _ => Err("the adapter does not claim it"),
    }
}

/// Capabilities as an adapter tells them: each with `true`, or with the reason for which there is none.
pub(super) fn claims<C: Copy + Display>(
    all: &[C],
    supports: impl Fn(C) -> Result<(), &'static str>,
) -> Value {
    let claim = |capability: &C| {
        (capability.to_string(), supports(*capability).map_or_else(Value::from, |()| true.into()))
    };
    all.iter().map(claim).collect()
}
