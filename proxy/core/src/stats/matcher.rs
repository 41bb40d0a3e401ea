//! Which stats exist for readers: `stats_config.stats_matcher`.

/// Judges full names. A stat that is refused counts all the same, but nobody sees it.
#[derive(Clone, Debug, Default)]
pub enum StatsMatcher {
    #[default]
    AcceptAll,
    RejectAll,
}

impl StatsMatcher {
    /// No name needs to be looked at.
    pub fn accepts_all(&self) -> bool {
        matches!(self, Self::AcceptAll)
    }

    pub fn rejects(&self, _name: &str) -> bool {
        matches!(self, Self::RejectAll)
    }
}
