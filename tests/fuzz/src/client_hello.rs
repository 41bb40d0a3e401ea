//! ClientHellos before TLS: what the whole says, no part of it denies.

use outrigger_transport::inspect::client_hello::{Inspection, inspect};

pub fn run(data: &[u8]) {
    let whole = inspect(data);
    let used = match &whole {
        Inspection::NeedMore => 0,
        Inspection::Hello(_, used) | Inspection::Not(_, used) | Inspection::CloseNotify(used) => {
            *used
        }
    };
    assert!(used <= data.len());
    // The listener looks after every read: a part either says nothing yet or what the whole says.
    for end in 0..data.len().min(256) {
        let part = inspect(data.get(..end).unwrap_or_default());
        assert!(
            part == Inspection::NeedMore || part == whole,
            "{end}: {part:?}, whole: {whole:?}"
        );
    }
}
