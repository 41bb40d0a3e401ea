//! What is wrong with a piece of configuration: the path of the field and the reason, on one line.

use std::fmt;

/// A rejected piece of configuration. Built at the place that knows the reason, led upwards through
/// [`at`](Self::at) and [`index`](Self::index), so that the path reads as the user wrote the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    path: String,
    reason: String,
}

impl ConfigError {
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            path: String::new(),
            reason: reason.into(),
        }
    }

    /// The error stands below this field: `x` becomes `field.x`, `[0].x` becomes `field[0].x`.
    #[must_use]
    pub fn at(mut self, field: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') {
            ""
        } else {
            "."
        };
        self.path = format!("{field}{dot}{}", self.path);
        self
    }

    /// The error stands below this element of a repeated field.
    #[must_use]
    pub fn index(mut self, index: usize) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') {
            ""
        } else {
            "."
        };
        self.path = format!("[{index}]{dot}{}", self.path);
        self
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.reason)
        } else {
            write!(f, "{}: {}", self.path, self.reason)
        }
    }
}

/// Leads an error upwards where it stands in a `Result`.
pub trait ConfigResult<T> {
    /// See [`ConfigError::at`].
    fn at(self, field: &str) -> Result<T, ConfigError>;
    /// See [`ConfigError::index`], below the named repeated field.
    fn at_index(self, field: &str, index: usize) -> Result<T, ConfigError>;
}

impl<T, E: Into<ConfigError>> ConfigResult<T> for Result<T, E> {
    fn at(self, field: &str) -> Result<T, ConfigError> {
        self.map_err(|e| e.into().at(field))
    }

    fn at_index(self, field: &str, index: usize) -> Result<T, ConfigError> {
        self.map_err(|e| e.into().index(index).at(field))
    }
}

/// A required message field, with the reason that Envoy's validation gives.
pub fn required<T>(value: Option<T>, field: &str) -> Result<T, ConfigError> {
    value.ok_or_else(|| ConfigError::new("is required").at(field))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_reads_as_the_file_does() {
        let error = ConfigError::new("is required")
            .at("name")
            .index(2)
            .at("filters")
            .at("filter_chain");
        assert_eq!(
            error.to_string(),
            "filter_chain.filters[2].name: is required"
        );
        assert_eq!(
            ConfigError::new("no").index(1).index(0).at("a").to_string(),
            "a[0][1]: no"
        );
    }
}
