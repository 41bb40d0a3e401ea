//! How clusters find their hosts after the start: tasks of the main runtime that publish host sets.

pub(crate) mod dns;
pub mod resolver;
