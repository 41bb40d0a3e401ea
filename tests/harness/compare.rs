//! Names the differences of two observations and shows them so that they can be read.

use crate::side::Observation;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// One facet in which the sides differ.
pub struct Difference {
    /// `client`, `fate`, `upstream up`, `log`, `stat <name>`, `admin`.
    pub facet: String,
    pub oracle: Vec<String>,
    pub subject: Vec<String>,
}

/// All differing facets.
pub fn compare(oracle: &Observation, subject: &Observation) -> Vec<Difference> {
    let facets: BTreeSet<&String> = oracle.keys().chain(subject.keys()).collect();
    let of = |side: &Observation, facet: &String| side.get(facet).cloned().unwrap_or_default();
    let pairs = facets
        .into_iter()
        .map(|facet| (facet, of(oracle, facet), of(subject, facet)));
    let differing = pairs.filter(|(_, oracle, subject)| oracle != subject);
    differing
        .map(|(facet, oracle, subject)| Difference {
            facet: facet.clone(),
            oracle,
            subject,
        })
        .collect()
}

/// The difference in lines: `-` is what Envoy showed, `+` what the subject showed.
pub fn show(difference: &Difference) -> String {
    let Difference {
        facet,
        oracle,
        subject,
    } = difference;
    let mut out = format!("    {facet}:\n");
    if let ([oracle], [subject]) = (oracle.as_slice(), subject.as_slice()) {
        let _ = writeln!(out, "      - {oracle}\n      + {subject}");
        return out;
    }
    let lines = diff(oracle, subject);
    let mut hidden = 0;
    for (index, (sign, line)) in lines.iter().enumerate() {
        if near_a_change(&lines, index) {
            if hidden > 0 {
                let _ = writeln!(out, "        ... {hidden} equal lines");
            }
            hidden = 0;
            let _ = writeln!(out, "      {sign} {line}");
        } else {
            hidden += 1;
        }
    }
    out
}

/// Long common stretches of admin answers would bury the difference.
fn near_a_change(lines: &[(char, &str)], index: usize) -> bool {
    const CONTEXT: usize = 4;
    let from = index.saturating_sub(CONTEXT);
    let to = (index + CONTEXT + 1).min(lines.len());
    lines
        .get(from..to)
        .unwrap_or_default()
        .iter()
        .any(|(sign, _)| *sign != ' ')
}

/// Lines in both (` `), only in the first (`-`), only in the second (`+`), by longest common subsequence.
fn diff<'a>(a: &'a [String], b: &'a [String]) -> Vec<(char, &'a str)> {
    let width = b.len() + 1;
    // common[i * width + j]: length of the longest common subsequence of a[i..] and b[j..].
    let mut common = vec![0_u32; (a.len() + 1) * width];
    let at = |i: usize, j: usize| i * width + j;
    for (i, left) in a.iter().enumerate().rev() {
        for (j, right) in b.iter().enumerate().rev() {
            let best = if left == right {
                read(&common, at(i + 1, j + 1)) + 1
            } else {
                read(&common, at(i + 1, j)).max(read(&common, at(i, j + 1)))
            };
            if let Some(cell) = common.get_mut(at(i, j)) {
                *cell = best;
            }
        }
    }
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    loop {
        match (a.get(i), b.get(j)) {
            (Some(left), Some(right)) if left == right => {
                out.push((' ', left.as_str()));
                (i, j) = (i + 1, j + 1);
            }
            (Some(left), right)
                if right.is_none()
                    || read(&common, at(i + 1, j)) >= read(&common, at(i, j + 1)) =>
            {
                out.push(('-', left.as_str()));
                i += 1;
            }
            (_, Some(right)) => {
                out.push(('+', right.as_str()));
                j += 1;
            }
            _ => return out,
        }
    }
}

fn read(cells: &[u32], index: usize) -> u32 {
    cells.get(index).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn only_differing_facets_are_named() {
        let oracle =
            Observation::from([("a".to_owned(), lines("1")), ("b".to_owned(), lines("2"))]);
        let subject =
            Observation::from([("a".to_owned(), lines("1")), ("c".to_owned(), lines("2"))]);
        let found: Vec<String> = compare(&oracle, &subject)
            .into_iter()
            .map(|d| d.facet)
            .collect();
        assert_eq!(found, ["b", "c"]);
    }

    #[test]
    fn a_diff_keeps_common_lines() {
        let (a, b) = (lines("x y z"), lines("x w z v"));
        assert_eq!(
            diff(&a, &b),
            [(' ', "x"), ('-', "y"), ('+', "w"), (' ', "z"), ('+', "v")]
        );
    }
}
