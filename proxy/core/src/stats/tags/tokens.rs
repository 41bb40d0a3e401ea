//! Tag extraction by the tokens between the dots of a name, for the default tags that need no regex.

use super::Found;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token {
    Literal(&'static str),
    /// `$`: the value of the tag.
    Value,
    /// `*`: any one token.
    One,
    /// `**`: any number of tokens, at the end at least one.
    Many,
}

/// A pattern such as `vhost.*.vcluster.$.**`.
#[derive(Debug)]
pub(super) struct Tokens {
    tokens: Vec<Token>,
}

impl Tokens {
    pub(super) fn new(pattern: &'static str) -> Self {
        let tokens = pattern
            .split('.')
            .map(|token| match token {
                "$" => Token::Value,
                "*" => Token::One,
                "**" => Token::Many,
                literal => Token::Literal(literal),
            })
            .collect();
        Self { tokens }
    }

    /// The first token, if every name that matches starts with it.
    pub(super) fn prefix(&self) -> Option<&'static str> {
        match self.tokens.first() {
            Some(Token::Literal(literal)) => Some(literal),
            _ => None,
        }
    }

    /// The value leaves the name together with the dot that follows, or at the end with the one before.
    pub(super) fn find<'a>(&self, name: &'a str) -> Option<Found<'a>> {
        let value = search(&self.tokens, Some(name), None)?;
        let start = value.as_ptr().addr().checked_sub(name.as_ptr().addr())?;
        let end = start + value.len();
        let remove = if end < name.len() {
            start..end + 1
        } else {
            start.saturating_sub(1)..end
        };
        Some(Found { remove, value })
    }
}

/// Matches the tokens against what is left of the name (`None`: nothing is left) and returns the value.
fn search<'a>(tokens: &[Token], rest: Option<&'a str>, value: Option<&'a str>) -> Option<&'a str> {
    let Some((token, tokens)) = tokens.split_first() else {
        return if rest.is_none() { value } else { None };
    };
    let mut rest = rest?;
    let (first, after) = match rest.split_once('.') {
        Some((first, after)) => (first, Some(after)),
        None => (rest, None),
    };
    match token {
        Token::Literal(literal) if *literal != first => None,
        Token::Literal(_) | Token::One => search(tokens, after, value),
        Token::Value => search(tokens, after, Some(first)),
        Token::Many if tokens.is_empty() => value,
        Token::Many => loop {
            if let Some(found) = search(tokens, Some(rest), value) {
                return Some(found);
            }
            (_, rest) = rest.split_once('.')?;
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_leaves_with_a_dot() {
        for (pattern, name, expected) in [
            (
                "cluster.$.**",
                "cluster.up.x.y",
                Some(("up", "cluster.x.y")),
            ),
            ("cluster.$.**", "cluster.up", None),
            (
                "cluster.$.**",
                "cluster.dot.c.x",
                Some(("dot", "cluster.c.x")),
            ),
            ("cluster.$.**", "listener.up.x", None),
            ("$.rbac.**", "in.rbac.allowed", Some(("in", "rbac.allowed"))),
            ("a.*.b.$", "a.x.b.v", Some(("v", "a.x.b"))),
            (
                "mongo.*.collection.$.**.query.*",
                "mongo.p.collection.c.d.e.query.q",
                Some(("c", "mongo.p.collection.d.e.query.q")),
            ),
            (
                "mongo.*.collection.$.**.query.*",
                "mongo.p.collection.c.query.q",
                Some(("c", "mongo.p.collection.query.q")),
            ),
            (
                "mongo.*.collection.$.**.query.*",
                "mongo.p.collection.c.d.e",
                None,
            ),
        ] {
            let found = Tokens::new(pattern).find(name).map(|found| {
                let mut rest = name.to_owned();
                rest.replace_range(found.remove, "");
                (found.value, rest)
            });
            let found = found.as_ref().map(|(value, rest)| (*value, rest.as_str()));
            assert_eq!(found, expected, "{pattern} on {name}");
        }
    }
}
