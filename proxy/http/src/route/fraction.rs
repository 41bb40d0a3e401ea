//! `RuntimeFractionalPercent`: a share of the streams, chosen by each stream's random number.

use envoy_api::pb::envoy::{
    config::core::v3::RuntimeFractionalPercent as Proto,
    r#type::v3::fractional_percent::DenominatorType,
};
use outrigger_core::{ConfigError, error::required};

/// A compiled fraction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fraction {
    numerator: u64,
    denominator: u64,
}

impl Fraction {
    pub(super) fn compile(proto: &Proto) -> Result<Self, ConfigError> {
        let percent = required(proto.default_value.as_ref(), "default_value")?;
        if !proto.runtime_key.is_empty() {
            return Err(ConfigError::new("runtime keys are not supported").at("runtime_key"));
        }
        let denominator = match DenominatorType::try_from(percent.denominator) {
            Ok(DenominatorType::Hundred) => 100,
            Ok(DenominatorType::TenThousand) => 10_000,
            Ok(DenominatorType::Million) => 1_000_000,
            Err(_) => {
                return Err(ConfigError::new("unknown enum value")
                    .at("denominator")
                    .at("default_value"));
            }
        };
        Ok(Self {
            numerator: u64::from(percent.numerator),
            denominator,
        })
    }

    pub(super) fn holds(&self, random: u64) -> bool {
        random % self.denominator < self.numerator
    }
}
