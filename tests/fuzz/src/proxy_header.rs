//! PROXY headers: a header is one as soon as it is whole, whatever follows it, and nothing behind it is taken.

use outrigger_transport::inspect::proxy_header::{Inspection, inspect};

pub fn run(data: &[u8]) {
    let whole = inspect(data);
    if let Inspection::Found(header) = &whole {
        assert!(header.length <= data.len());
        assert_eq!(
            inspect(data.get(..header.length).unwrap_or_default()),
            whole
        );
    }
    // What is no header may be found out about sooner or later; what is one must not be taken for anything else before.
    let Inspection::Found(header) = &whole else {
        return;
    };
    for end in 0..header.length {
        let part = inspect(data.get(..end).unwrap_or_default());
        assert!(
            matches!(part, Inspection::NeedMore(_)),
            "{end}: {part:?}, whole: {whole:?}"
        );
    }
}
