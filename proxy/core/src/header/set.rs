//! A set of well-known header names: one bit each, so that asking about many of them costs what asking about one does.

use super::HeaderId;

/// Well-known names; `Custom` counts as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeaderSet(u128);

impl HeaderSet {
    pub const EMPTY: Self = Self(0);

    pub const fn of(names: &[HeaderId]) -> Self {
        let mut set = Self::EMPTY;
        let mut at = 0;
        while at < names.len() {
            set.add(names[at]);
            at += 1;
        }
        set
    }

    #[inline]
    pub const fn has(self, id: HeaderId) -> bool {
        self.0 & Self::bit(id) != 0
    }

    #[inline]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    #[inline]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[inline]
    pub(super) const fn add(&mut self, id: HeaderId) {
        self.0 |= Self::bit(id);
    }

    #[inline]
    pub(super) const fn subtract(&mut self, other: Self) {
        self.0 &= !other.0;
    }

    #[inline]
    const fn bit(id: HeaderId) -> u128 {
        1 << id as u8
    }
}
