//! Network (L4) filters. They see one connection and bytes; they must never know HTTP.

pub mod fields;
