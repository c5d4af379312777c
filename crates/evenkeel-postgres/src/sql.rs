//! Reading the text of statements: its tokens, its effect on the session, and whether it ends the transaction.

pub(crate) mod effect;
pub(crate) mod ends_tx;
pub(crate) mod session_use;
mod tokens;
