//! `RateLimit.hits_addend` of a limit of the filter's own: how many tokens a request takes. Those of routes take one each.

use crate::route::{RateLimit, RateLimitInput};
use envoy_api::pb::envoy::config::route::v3::{RateLimit as Proto, rate_limit::HitsAddend};
use outrigger_core::{
    ConfigError,
    error::ConfigResult,
    formatter::{FormatContext, Formatter},
    local_info::LocalInfo,
};

/// More is no number of tokens.
const MOST: f64 = 1_000_000_000.0;

/// One of `LocalRateLimit.rate_limits`.
#[derive(Debug)]
pub struct OwnLimit {
    pub limit: RateLimit,
    hits: Hits,
    /// The tokens are given back.
    negative: bool,
}

/// What a request is to a bucket.
#[derive(Clone, Copy, Debug)]
pub enum Demand {
    Take(u64),
    Give(u64),
}

#[derive(Debug)]
enum Hits {
    Fixed(u64),
    Format(Formatter),
}

impl OwnLimit {
    /// A limit of the filter's own has neither a stage nor a key. One that is to be applied at the end of a stream never is:
    /// this filter asks nobody then.
    pub fn compile(proto: &Proto, local: &LocalInfo) -> Result<Option<Self>, ConfigError> {
        if proto.stage.is_some() || !proto.disable_key.is_empty() {
            return Err(ConfigError::new(
                "'stage' field and 'disable_key' field are not supported",
            ));
        }
        let limit = RateLimit::compile(proto, local)?;
        let addend = proto.hits_addend.as_ref();
        let hits = addend.map(Hits::compile).transpose();
        let own = Self {
            limit,
            hits: hits.at("hits_addend")?.unwrap_or(Hits::Fixed(1)),
            negative: addend.is_some_and(|addend| addend.is_negative_hits),
        };
        Ok((!proto.apply_on_stream_done).then_some(own))
    }

    /// What a request takes; none: the limit says nothing of it.
    pub fn demand(&self, input: &RateLimitInput<'_>) -> Option<Demand> {
        let hits = match &self.hits {
            Hits::Fixed(hits) => *hits,
            Hits::Format(format) => Self::rendered(format, input)?,
        };
        Some(match self.negative {
            true => Demand::Give(hits),
            false => Demand::Take(hits),
        })
    }

    fn rendered(format: &Formatter, input: &RateLimitInput<'_>) -> Option<u64> {
        let mut text = Vec::new();
        let context = FormatContext {
            request: Some(input.request),
            ..FormatContext::new(input.info)
        };
        format.render(&context, &mut text);
        let hits = number(std::str::from_utf8(&text).ok()?.trim_ascii())?;
        // To Envoy "not a number" is a number beyond all. Of a fraction the whole part counts.
        match hits.is_nan() {
            true => Some(u64::MAX),
            false => (0.0..=MOST).contains(&hits).then_some(hits as u64),
        }
    }
}

impl Hits {
    fn compile(proto: &HitsAddend) -> Result<Self, ConfigError> {
        match (proto.number, proto.format.as_str()) {
            (Some(number), "") => Ok(Self::Fixed(number)),
            (None, format) if !format.is_empty() => {
                let format = Formatter::compile(format).at("format")?;
                match format.parts() {
                    1 => Ok(Self::Format(format)),
                    _ => Err(ConfigError::new(
                        "hits_addend format must contain exactly one substitution",
                    )
                    .at("format")),
                }
            }
            _ => Err(ConfigError::new(
                "hits_addend must contain either a format or a number",
            )),
        }
    }
}

/// As Envoy reads a number: hexadecimal as well.
fn number(text: &str) -> Option<f64> {
    let hexadecimal = text.strip_prefix('+').unwrap_or(text);
    let hexadecimal = hexadecimal
        .strip_prefix("0x")
        .or(hexadecimal.strip_prefix("0X"));
    match hexadecimal {
        // A sign may not follow.
        Some(digits) if digits.starts_with('+') => None,
        Some(digits) => u64::from_str_radix(digits, 16)
            .ok()
            .map(|number| number as f64),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_may_be_hexadecimal_and_have_fractions() {
        for (text, value) in [
            ("3", 3.0),
            ("2.9", 2.9),
            ("+1e1", 10.0),
            ("0x1f", 31.0),
            ("-1", -1.0),
        ] {
            assert_eq!(number(text), Some(value), "{text}");
        }
        for text in ["", "-", "x", "1x", "0x", "0x+1", "1 2"] {
            assert_eq!(number(text), None, "{text}");
        }
        assert!(number("nan").unwrap().is_nan());
    }

    #[test]
    fn a_number_or_a_format_but_not_both() {
        let compile = |number, format: &str| {
            Hits::compile(&HitsAddend {
                number,
                format: format.to_owned(),
                is_negative_hits: false,
            })
            .map_err(|error| error.reason().to_owned())
        };
        let either = "hits_addend must contain either a format or a number";
        assert_eq!(compile(None, "").unwrap_err(), either);
        assert_eq!(compile(Some(1), "%PROTOCOL%").unwrap_err(), either);
        assert_eq!(
            compile(None, "%PROTOCOL%%PROTOCOL%").unwrap_err(),
            "hits_addend format must contain exactly one substitution"
        );
        assert!(matches!(compile(Some(7), ""), Ok(Hits::Fixed(7))));
        assert!(matches!(compile(None, "%PROTOCOL%"), Ok(Hits::Format(_))));
    }
}
