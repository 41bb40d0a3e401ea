//! Differential harness: starts real Envoy and Outrigger from one bootstrap, replays one script of bytes through both and
//! compares everything that can be seen from outside. It must never know how either proxy works inside.
//!
//! The order of a run: [`case`] reads a data file, [`bootstrap`] expands it into an Envoy bootstrap, [`side`] owns one
//! running proxy with its scripted upstreams, [`group`] plays every case on both sides, [`compare`] names the differences.

pub mod admin;
pub mod base64;
pub mod bootstrap;
pub mod browser;
pub mod bystander;
pub mod bytes;
pub mod case;
pub mod client;
pub mod coding;
pub mod compare;
pub mod group;
pub mod http1;
pub mod http2;
pub mod kernel;
pub mod known;
pub mod normalise;
pub mod ports;
pub mod process;
pub mod report;
pub mod running;
pub mod side;
pub mod socket;
pub mod stats;
pub mod upstream;
pub mod validation;
pub mod yaml;
