//! `FilterChainMatch`: chooses the filter chain of a connection. What a chosen chain does stands elsewhere.

mod criteria;
mod match_tree;
mod prefix;

pub use match_tree::{MatchInput, MatchTree};

use criteria::Criteria;
use envoy_api::{
    Message,
    pb::envoy::config::listener::v3::{FilterChain, FilterChainMatch},
    to_dynamic,
};
use hashbrown::{HashMap, hash_map::Entry};
use outrigger_core::{ConfigError, error::ConfigResult};

/// Compiles the matches of a listener's filter chains; the chain at index `i` is found as `chains[i]`.
///
/// `address` is the listener's first address, which Envoy's errors name.
pub fn compile<T: Clone>(
    address: &str,
    protos: &[FilterChain],
    chains: &[T],
) -> Result<MatchTree<T>, ConfigError> {
    let mut tree = MatchTree::default();
    let mut names = HashMap::<Vec<u8>, &str>::with_capacity(protos.len());
    for (index, (proto, chain)) in protos.iter().zip(chains).enumerate() {
        compile_one(address, proto, chain, &mut names, &mut tree)
            .at_index("filter_chains", index)?;
    }
    Ok(tree)
}

fn compile_one<'a, T: Clone>(
    address: &str,
    proto: &'a FilterChain,
    chain: &T,
    names: &mut HashMap<Vec<u8>, &'a str>,
    tree: &mut MatchTree<T>,
) -> Result<(), ConfigError> {
    let refused =
        |reason: &str| ConfigError::new(format!("error adding listener '{address}': {reason}"));
    let matcher = proto.filter_chain_match.clone().unwrap_or_default();
    match names.entry(matcher.encode_to_vec()) {
        Entry::Occupied(first) => {
            return Err(refused(&format!(
                "filter chain '{}' has the same matching rules defined as '{}'. duplicate matcher is: {}",
                proto.name,
                first.get(),
                json(&matcher)
            )));
        }
        Entry::Vacant(vacant) => vacant.insert(&proto.name),
    };
    if !matcher.address_suffix.is_empty() || matcher.suffix_len.is_some() {
        return Err(refused(&format!(
            "filter chain '{}' contains unimplemented fields",
            proto.name
        )));
    }
    let criteria = Criteria::compile(&matcher).at("filter_chain_match")?;
    tree.insert(&criteria, chain)
        .map_err(|_| refused("multiple filter chains with overlapping matching rules are defined"))
}

/// As Envoy prints it: compact, with the names of the proto.
fn json(matcher: &FilterChainMatch) -> String {
    let message = envoy_api::MessageDescriptor::of::<FilterChainMatch>()
        .and_then(|descriptor| to_dynamic(matcher, descriptor).ok());
    message.map_or_else(String::new, |message| {
        envoy_api::json::write(&message).to_string()
    })
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
