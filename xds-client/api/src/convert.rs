//! Moves messages between their forms: generated type, dynamic message, Any. All go through the wire encoding, which
//! is the one form that they share. Must never change a message on the way.

use std::fmt;

use prost::{DecodeError, Message, Name};
use prost_types::Any;

use crate::reflect::{DynamicMessage, MessageDescriptor};

/// What every type URL that Envoy writes starts with; on reading only what follows the last `/` counts.
pub const TYPE_URL_PREFIX: &str = "type.googleapis.com/";

/// How deep a walk goes into a message and the messages in its Anys. One encoding nests at most 100 messages, but a
/// small resource with Anys in Anys could nest enough to exhaust the stack.
pub(crate) const MAX_MESSAGE_DEPTH: usize = 256;

/// Why the message in an Any could not be had.
#[derive(Clone, Debug, PartialEq)]
pub enum UnpackError {
    /// The Any holds some other message than the one asked for.
    WrongType {
        /// Full name of the message that was asked for.
        expected: String,
        /// Type URL of the Any.
        actual: String,
    },
    /// The bytes are not a message of the type that the Any claims.
    Malformed {
        /// Type URL of the Any.
        type_url: String,
        /// What the decoder says.
        source: DecodeError,
    },
}

impl fmt::Display for UnpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Envoy's wording (MessageUtil::unpackTo).
            Self::WrongType { expected, actual } => {
                write!(f, "Unable to unpack as {expected}: type is {actual}")
            }
            Self::Malformed { type_url, source } => {
                write!(f, "Unable to unpack {type_url}: {source}")
            }
        }
    }
}

impl std::error::Error for UnpackError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::WrongType { .. } => None,
            Self::Malformed { source, .. } => Some(source),
        }
    }
}

/// The full name of the message that a type URL names.
pub fn type_name(type_url: &str) -> &str {
    type_url.rsplit('/').next().unwrap_or(type_url)
}

/// The message of type `T` in `any`.
pub fn unpack<T: Message + Name + Default>(any: &Any) -> Result<T, UnpackError> {
    if type_name(&any.type_url) != T::full_name() {
        return Err(UnpackError::WrongType {
            expected: T::full_name(),
            actual: any.type_url.clone(),
        });
    }
    T::decode(any.value.as_slice()).map_err(|source| UnpackError::Malformed {
        type_url: any.type_url.clone(),
        source,
    })
}

/// `message` in an Any.
pub fn pack<T: Message + Name>(message: &T) -> Any {
    Any {
        type_url: format!("{TYPE_URL_PREFIX}{}", T::full_name()),
        value: message.encode_to_vec(),
    }
}

/// The generated type of a dynamic message. Fails only if `T` is another message than the one `message` is of.
pub fn to_typed<T: Message + Default>(message: &DynamicMessage) -> Result<T, DecodeError> {
    T::decode(message.encode_to_vec().as_slice())
}

/// The dynamic form of a generated message. Fails only if `descriptor` is another message's.
pub fn to_dynamic<T: Message>(
    message: &T,
    descriptor: MessageDescriptor,
) -> Result<DynamicMessage, DecodeError> {
    DynamicMessage::decode(descriptor, &message.encode_to_vec())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::pb::envoy::config::core::v3::{Node, RuntimeDouble};

    #[test]
    fn packs_and_unpacks() {
        let node = Node {
            id: "n".into(),
            ..Default::default()
        };
        let any = pack(&node);
        assert_eq!(
            any.type_url,
            "type.googleapis.com/envoy.config.core.v3.Node"
        );
        assert_eq!(unpack::<Node>(&any), Ok(node));
        // Any prefix will do, as for Envoy.
        let other = Any {
            type_url: "example.org/envoy.config.core.v3.Node".into(),
            ..any.clone()
        };
        assert_eq!(unpack::<Node>(&other).unwrap().id, "n");
    }

    #[test]
    fn refuses_another_type_and_damaged_bytes() {
        let any = pack(&Node::default());
        let error = unpack::<RuntimeDouble>(&any).unwrap_err().to_string();
        assert_eq!(
            error,
            "Unable to unpack as envoy.config.core.v3.RuntimeDouble: type is \
             type.googleapis.com/envoy.config.core.v3.Node"
        );
        let damaged = Any {
            value: vec![0x0a, 0x05, b'x'],
            ..any
        };
        assert!(matches!(
            unpack::<Node>(&damaged),
            Err(UnpackError::Malformed { .. })
        ));
    }

    #[test]
    fn dynamic_and_typed_are_the_same_message() {
        let node = Node {
            id: "n".into(),
            cluster: "c".into(),
            ..Default::default()
        };
        let descriptor = MessageDescriptor::named("envoy.config.core.v3.Node").unwrap();
        let dynamic = to_dynamic(&node, descriptor).unwrap();
        assert_eq!(to_typed::<Node>(&dynamic).unwrap(), node);
    }
}
