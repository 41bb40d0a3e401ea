//! Doubles as text, in the three ways in which Envoy's readers write them.

use std::fmt::Write;

/// As `%.<precision>g` in C: at most that many significant digits, no trailing zeros.
pub fn general(out: &mut String, value: f64, precision: usize) {
    write(
        out,
        value,
        |value| format!("{value:.*e}", precision.saturating_sub(1)),
        |exponent, _, _| (-4..precision as i32).contains(&exponent),
    );
}

/// The fewest digits that read back as the same double, as `{}` of libfmt.
pub fn shortest(out: &mut String, value: f64) {
    write(
        out,
        value,
        |value| format!("{value:e}"),
        |exponent, _, _| (-4..16).contains(&exponent),
    );
}

/// The fewest characters that read back as the same double, as `std::to_chars`; what JSON shows.
pub fn compact(out: &mut String, value: f64) {
    write(
        out,
        value,
        |value| format!("{value:e}"),
        |_, fixed, scientific| fixed <= scientific,
    );
}

/// Writes `value` from the scientific form that `digits` makes of it, in the fixed form if `is_fixed` says so: it is
/// given the exponent and the lengths of both forms.
fn write(
    out: &mut String,
    value: f64,
    digits: impl Fn(f64) -> String,
    is_fixed: impl Fn(i32, usize, usize) -> bool,
) {
    if value.is_nan() {
        return out.push_str("nan");
    }
    if value.is_infinite() {
        return out.push_str(if value > 0.0 { "inf" } else { "-inf" });
    }
    if value.is_sign_negative() && value != 0.0 {
        out.push('-');
    }
    let text = digits(value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mut figures: String = mantissa.chars().filter(|c| *c != '.').collect();
    figures.truncate(figures.trim_end_matches('0').len().max(1));
    let fixed = fixed(&figures, exponent);
    let scientific = scientific(&figures, exponent);
    out.push_str(if is_fixed(exponent, fixed.len(), scientific.len()) {
        &fixed
    } else {
        &scientific
    });
}

fn fixed(figures: &str, exponent: i32) -> String {
    if exponent < 0 {
        let zeros = "0".repeat((-exponent - 1) as usize);
        return format!("0.{zeros}{figures}");
    }
    let whole = exponent as usize + 1;
    match figures.split_at_checked(whole) {
        Some((whole, "")) => whole.to_owned(),
        Some((whole, fraction)) => format!("{whole}.{fraction}"),
        None => format!("{figures:0<whole$}"),
    }
}

fn scientific(figures: &str, exponent: i32) -> String {
    let (first, rest) = figures.split_at_checked(1).unwrap_or((figures, ""));
    let mut text = first.to_owned();
    if !rest.is_empty() {
        text.push('.');
        text.push_str(rest);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    // Writing to a string cannot fail.
    let _ = write!(text, "e{sign}{:02}", exponent.abs());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl Fn(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    #[test]
    fn general_is_printfs_g() {
        for (value, six, thirty_two) in [
            (0.0, "0", "0"),
            (0.5, "0.5", "0.5"),
            (99.5, "99.5", "99.5"),
            (300_000.0, "300000", "300000"),
            (1_800_000.0, "1.8e+06", "1800000"),
            (5.05, "5.05", "5.049999999999999822364316059975"),
            (5.1, "5.1", "5.0999999999999996447286321199499"),
            (0.00001, "1e-05", "1.0000000000000000818030539140313e-05"),
            (f64::NAN, "nan", "nan"),
            (-2.5, "-2.5", "-2.5"),
        ] {
            assert_eq!(text(|out| general(out, value, 6)), six);
            assert_eq!(text(|out| general(out, value, 32)), thirty_two);
        }
    }

    #[test]
    fn shortest_and_compact_read_back() {
        for (value, libfmt, to_chars) in [
            (5.025, "5.025", "5.025"),
            (
                116.66666666666669,
                "116.66666666666669",
                "116.66666666666669",
            ),
            (60_000.0, "60000", "60000"),
            (300_000.0, "300000", "3e+05"),
            (1_800_000.0, "1800000", "1800000"),
            (12_000_000.0, "12000000", "1.2e+07"),
            (1e16, "1e+16", "1e+16"),
            (0.001, "0.001", "0.001"),
        ] {
            assert_eq!(text(|out| shortest(out, value)), libfmt);
            assert_eq!(text(|out| compact(out, value)), to_chars);
            assert_eq!(libfmt.parse(), Ok(value));
        }
    }
}
