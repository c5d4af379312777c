//! Reading the text of statements: its tokens, its effect on the session, whether it ends the transaction or copies.

pub(crate) mod copies;
pub(crate) mod effect;
pub(crate) mod ends_tx;
pub(crate) mod session_use;
mod tokens;
