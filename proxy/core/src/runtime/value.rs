//! One value of the runtime: what it may be read as, and how it is shown.

use crate::ConfigError;
use envoy_api::pb::envoy::r#type::v3::{FractionalPercent, fractional_percent::DenominatorType};
use prost_types::{Struct, value::Kind};
use std::collections::BTreeMap;

/// So many of a hundred, ten thousand or a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fraction {
    pub numerator: u32,
    pub denominator: u32,
}

impl Fraction {
    pub fn compile(proto: &FractionalPercent) -> Self {
        Self {
            numerator: proto.numerator,
            denominator: match proto.denominator() {
                DenominatorType::Hundred => 100,
                DenominatorType::TenThousand => 10_000,
                DenominatorType::Million => 1_000_000,
            },
        }
    }

    pub const fn percent(numerator: u32) -> Self {
        Self {
            numerator,
            denominator: 100,
        }
    }

    /// True for that fraction of all random numbers, as Envoy decides it.
    #[inline]
    pub fn contains(self, random: u64) -> bool {
        random % u64::from(self.denominator.max(1)) < u64::from(self.numerator)
    }
}

/// A runtime value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number, with the text that it was given as.
    Number(f64, String),
    Bool(bool),
    /// With its text, if it was given as one.
    Fraction(Fraction, Option<String>),
    /// Text that is nothing of the above.
    Text(String),
}

impl Value {
    /// A value written as text, as in `/runtime_modify`.
    pub fn parse(text: &str) -> Self {
        if let Ok(number) = text.parse::<f64>()
            && number.is_finite()
        {
            return Self::Number(number, text.to_owned());
        }
        match text {
            "true" => Self::Bool(true),
            "false" => Self::Bool(false),
            _ => Self::Text(text.to_owned()),
        }
    }

    /// A value that stands in a file, where a fraction may be written in YAML.
    pub(super) fn of_file(text: String) -> Self {
        match Self::parse(text.trim()) {
            Self::Number(number, _) => Self::Number(number, text),
            Self::Text(_) => match written_fraction(&text) {
                Some(fraction) => Self::Fraction(fraction, Some(text)),
                None => Self::Text(text),
            },
            other => other,
        }
    }

    /// A whole number that is not negative.
    pub fn integer(&self) -> Option<u64> {
        match self {
            Self::Number(n, _) if *n >= 0.0 && n.fract() == 0.0 && *n <= u64::MAX as f64 => {
                Some(*n as u64)
            }
            _ => None,
        }
    }

    pub fn double(&self) -> Option<f64> {
        match self {
            Self::Number(n, _) => Some(*n),
            _ => None,
        }
    }

    pub fn boolean(&self) -> Option<bool> {
        match self {
            Self::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// The fraction that it stands for; a whole number is a percentage.
    pub fn fraction(&self) -> Option<Fraction> {
        match self {
            Self::Fraction(fraction, _) => Some(*fraction),
            _ => {
                let percent = self.integer()?.min(100);
                Some(Fraction::percent(percent as u32))
            }
        }
    }

    /// As `/runtime` shows it.
    pub fn raw(&self) -> String {
        match self {
            Self::Number(_, text) | Self::Text(text) => text.clone(),
            Self::Bool(b) => b.to_string(),
            Self::Fraction(_, Some(text)) => text.clone(),
            Self::Fraction(f, None) => format!("{}/{}", f.numerator, f.denominator),
        }
    }
}

/// Adds the values of a layer: a structure is a prefix of its members' keys, unless it is a fraction.
pub(super) fn flatten(
    fields: &Struct,
    prefix: &str,
    into: &mut BTreeMap<String, Value>,
) -> Result<(), ConfigError> {
    for (name, value) in &fields.fields {
        let key = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        let value = match &value.kind {
            Some(Kind::NumberValue(n)) => Value::Number(*n, shown(*n)),
            Some(Kind::BoolValue(b)) => Value::Bool(*b),
            Some(Kind::StringValue(text)) => Value::parse(text),
            Some(Kind::StructValue(inner)) => match fraction(inner) {
                Some(fraction) => Value::Fraction(fraction, None),
                None => {
                    flatten(inner, &key, into)?;
                    continue;
                }
            },
            Some(Kind::NullValue(_) | Kind::ListValue(_)) | None => {
                return Err(ConfigError::new(format!(
                    "Invalid runtime entry value for {key}"
                )));
            }
        };
        into.insert(key, value);
    }
    Ok(())
}

/// A number as its shortest text: plain, or with an exponent where plain would be long.
fn shown(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-7..1e21).contains(&size) {
        format!("{number:e}")
    } else {
        number.to_string()
    }
}

/// A `FractionalPercent` in YAML: its two fields, in lines or in braces.
fn written_fraction(text: &str) -> Option<Fraction> {
    let text = text.trim();
    let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
    let (mut numerator, mut denominator) = (None, DenominatorType::Hundred);
    for field in inner.unwrap_or(text).split([',', '\n']) {
        let (name, value) = field.split_once(':')?;
        let unquoted = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
        let value = unquoted(value);
        match unquoted(name).as_str() {
            "numerator" => numerator = Some(value.parse().ok()?),
            "denominator" => denominator = DenominatorType::from_str_name(&value)?,
            _ => return None,
        }
    }
    Some(Fraction::compile(&FractionalPercent {
        numerator: numerator?,
        denominator: denominator.into(),
    }))
}

/// A `FractionalPercent` written as a structure.
fn fraction(fields: &Struct) -> Option<Fraction> {
    if fields
        .fields
        .keys()
        .any(|key| key != "numerator" && key != "denominator")
    {
        return None;
    }
    let numerator = match &fields.fields.get("numerator")?.kind {
        Some(Kind::NumberValue(n)) if *n >= 0.0 && *n <= f64::from(u32::MAX) => *n as u32,
        _ => return None,
    };
    let denominator = match fields.fields.get("denominator").map(|value| &value.kind) {
        None => DenominatorType::Hundred,
        Some(Some(Kind::StringValue(name))) => DenominatorType::from_str_name(name)?,
        Some(_) => return None,
    };
    Some(Fraction::compile(&FractionalPercent {
        numerator,
        denominator: denominator.into(),
    }))
}
