//! `envoy.retry_priorities.previous_priorities`: a retry goes to a priority that no attempt has been at yet.

use super::priority::Loads;

/// Which priorities one request has been at.
#[derive(Debug)]
pub struct PreviousPriorities {
    /// The load is computed anew after so many attempts; at least 1.
    update_frequency: usize,
    /// The priority of each attempt since the last start from scratch.
    attempted: Vec<u32>,
    excluded: Vec<bool>,
    adjusted: Option<Loads>,
}

impl PreviousPriorities {
    pub fn new(update_frequency: u32) -> Self {
        Self {
            update_frequency: usize::try_from(update_frequency).unwrap_or(1).max(1),
            attempted: Vec::new(),
            excluded: Vec::new(),
            adjusted: None,
        }
    }

    /// An attempt goes to a host of this priority.
    pub fn attempt(&mut self, priority: u32) {
        self.attempted.push(priority);
    }

    /// The load for a retry. Once all priorities with hosts have been tried, everything begins again.
    pub(super) fn loads<'a>(&'a mut self, original: &'a Loads) -> &'a Loads {
        if self.attempted.len() < self.update_frequency {
            return original;
        }
        if self.attempted.len().is_multiple_of(self.update_frequency) {
            self.excluded.resize(original.len(), false);
            for priority in &self.attempted {
                if let Some(excluded) = self.excluded.get_mut(*priority as usize) {
                    *excluded = true;
                }
            }
            self.adjusted = original.without(&self.excluded);
            if self.adjusted.is_none() {
                self.excluded.fill(false);
                self.attempted.clear();
                self.adjusted = original.without(&self.excluded);
            }
        }
        self.adjusted.as_ref().unwrap_or(original)
    }
}
