//! A set of well-known header names: one bit each, so that asking about many of them costs what asking about one does.

use super::HeaderId;

/// Well-known names; `Custom` counts as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeaderSet([u64; 2]);

impl HeaderSet {
    pub const EMPTY: Self = Self([0; 2]);

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
        self.0[Self::word(id)] & Self::bit(id) != 0
    }

    #[inline]
    pub const fn intersects(self, other: Self) -> bool {
        self.0[0] & other.0[0] != 0 || self.0[1] & other.0[1] != 0
    }

    #[inline]
    pub const fn union(self, other: Self) -> Self {
        Self([self.0[0] | other.0[0], self.0[1] | other.0[1]])
    }

    #[inline]
    pub(super) const fn add(&mut self, id: HeaderId) {
        self.0[Self::word(id)] |= Self::bit(id);
    }

    #[inline]
    pub(super) const fn subtract(&mut self, other: Self) {
        self.0[0] &= !other.0[0];
        self.0[1] &= !other.0[1];
    }

    #[inline]
    const fn word(id: HeaderId) -> usize {
        (id as u8 >> 6 & 1) as usize
    }

    #[inline]
    const fn bit(id: HeaderId) -> u64 {
        1 << (id as u8 & 63)
    }
}
