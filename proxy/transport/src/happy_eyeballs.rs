//! Envoy's `HappyEyeballsConnectionProvider`: the order in which the addresses of one host are tried, and the race
//! between them. The first that connects wins; the others are dropped.

use envoy_api::pb::envoy::config::cluster::v3::upstream_connection_options::{
    FirstAddressFamilyVersion as Version, HappyEyeballsConfig,
};
use outrigger_core::Address;
use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// How long an attempt is alone before the next one begins beside it: Envoy's constant.
pub const ATTEMPT_DELAY: Duration = Duration::from_millis(300);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
    Pipe,
    /// Internal listeners, which no address here is of.
    Other,
}

impl Family {
    fn of(address: &Address) -> Self {
        match address {
            Address::Ip(ip) if ip.is_ipv4() => Self::V4,
            Address::Ip(_) => Self::V6,
            Address::Pipe(_) => Self::Pipe,
        }
    }
}

/// `happy_eyeballs_config`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HappyEyeballs {
    /// `None`: that of the first address.
    first: Option<Family>,
    /// So many addresses of the first family come before each one of another; at least 1.
    count: usize,
}

impl Default for HappyEyeballs {
    fn default() -> Self {
        Self {
            first: None,
            count: 1,
        }
    }
}

impl HappyEyeballs {
    /// A family that Envoy does not know counts as none.
    pub fn compile(proto: Option<&HappyEyeballsConfig>) -> Self {
        let Some(proto) = proto else {
            return Self::default();
        };
        let first = match Version::try_from(proto.first_address_family_version) {
            Ok(Version::V4) => Some(Family::V4),
            Ok(Version::V6) => Some(Family::V6),
            Ok(Version::Pipe) => Some(Family::Pipe),
            Ok(Version::Internal) => Some(Family::Other),
            Ok(Version::Default) | Err(_) => None,
        };
        let count = proto.first_address_family_count.unwrap_or(1).max(1);
        Self {
            first,
            count: count as usize,
        }
    }

    /// The addresses in the order of their attempts: families take turns, each in the order given.
    pub fn order(&self, addresses: &[Address]) -> Vec<Address> {
        let Some(family) = self.first.or_else(|| addresses.first().map(Family::of)) else {
            return Vec::new();
        };
        let (first, other): (Vec<_>, Vec<_>) = addresses
            .iter()
            .cloned()
            .partition(|address| Family::of(address) == family);
        let (mut first, mut other) = (first.into_iter(), other.into_iter());
        let mut ordered = Vec::with_capacity(addresses.len());
        while ordered.len() < addresses.len() {
            ordered.extend(first.by_ref().take(self.count));
            ordered.extend(other.next());
        }
        ordered
    }
}

/// Attempts that run at the same time, each with what it is an attempt at.
struct Attempts<A, F>(Vec<(A, Pin<Box<F>>)>);

impl<A, T, E, F: Future<Output = Result<T, E>>> Attempts<A, F> {
    /// The first to end, which is then no longer among them.
    fn poll_any(&mut self, cx: &mut Context<'_>) -> Poll<(A, Result<T, E>)> {
        for index in 0..self.0.len() {
            let Some((_, attempt)) = self.0.get_mut(index) else {
                break;
            };
            if let Poll::Ready(result) = attempt.as_mut().poll(cx) {
                let (target, _) = self.0.remove(index);
                return Poll::Ready((target, result));
            }
        }
        Poll::Pending
    }
}

/// Runs `attempt` at one target after the other until one succeeds, and tells which. The next one begins when an
/// attempt fails, or beside those that run when none has ended for [`ATTEMPT_DELAY`]. If all fail, the error is the
/// last one's. `None`: there are no targets.
pub async fn race<A: Copy, T, E, F>(
    targets: impl IntoIterator<Item = A>,
    mut attempt: impl FnMut(A) -> F,
) -> Option<Result<(A, T), E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut targets = targets.into_iter().peekable();
    let mut running = Attempts(Vec::new());
    let mut delay = pin!(sleep(ATTEMPT_DELAY));
    let mut failed = None;
    loop {
        if let Some(target) = targets.next() {
            running.0.push((target, Box::pin(attempt(target))));
            delay.as_mut().reset(Instant::now() + ATTEMPT_DELAY);
        }
        if running.0.is_empty() {
            return failed.map(Err);
        }
        tokio::select! {
            biased;
            (target, result) = poll_fn(|cx| running.poll_any(cx)) => match result {
                Ok(connected) => return Some(Ok((target, connected))),
                Err(error) => failed = Some(error),
            },
            () = delay.as_mut(), if targets.peek().is_some() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::{cell::RefCell, sync::Arc};

    fn addresses(of: &[&str]) -> Vec<Address> {
        let address = |text: &&str| match text.parse::<std::net::SocketAddr>() {
            Ok(ip) => Address::Ip(ip),
            Err(_) => Address::Pipe(Arc::new((*text).into())),
        };
        of.iter().map(address).collect()
    }

    fn order(config: HappyEyeballs, of: &[&str]) -> Vec<String> {
        let ordered = config.order(&addresses(of));
        ordered.iter().map(Address::to_string).collect()
    }

    fn config(version: Version, count: Option<u32>) -> HappyEyeballs {
        HappyEyeballs::compile(Some(&HappyEyeballsConfig {
            first_address_family_version: version as i32,
            first_address_family_count: count,
        }))
    }

    #[test]
    fn families_take_turns_from_that_of_the_first_address() {
        let all = ["1.0.0.1:1", "1.0.0.2:1", "1.0.0.3:1", "[::1]:1", "[::2]:1"];
        assert_eq!(
            order(HappyEyeballs::default(), &all),
            ["1.0.0.1:1", "[::1]:1", "1.0.0.2:1", "[::2]:1", "1.0.0.3:1"]
        );
        let all = ["[::1]:1", "[::2]:1", "/pipe", "1.0.0.1:1"];
        assert_eq!(
            order(HappyEyeballs::default(), &all),
            ["[::1]:1", "/pipe", "[::2]:1", "1.0.0.1:1"]
        );
    }

    #[test]
    fn the_first_family_and_its_count_can_be_set() {
        let all = ["1.0.0.1:1", "[::1]:1", "[::2]:1", "[::3]:1", "1.0.0.2:1"];
        assert_eq!(
            order(config(Version::V6, Some(2)), &all),
            ["[::1]:1", "[::2]:1", "1.0.0.1:1", "[::3]:1", "1.0.0.2:1"]
        );
        // No address is of that family: the others keep their order.
        assert_eq!(order(config(Version::Pipe, None), &all), all);
    }

    /// What an attempt does: ends after so many ms, and whether well.
    type Script = (u64, bool);

    /// The winner or the last error, when that was known, and when each attempt began; in ms.
    async fn play(scripts: &[Script]) -> (Result<usize, usize>, u128, Vec<u128>) {
        let begin = Instant::now();
        let begun = RefCell::new(Vec::new());
        let result = race(0..scripts.len(), |index| {
            begun.borrow_mut().push(begin.elapsed().as_millis());
            let (after, well) = scripts[index];
            async move {
                sleep(Duration::from_millis(after)).await;
                well.then_some(()).ok_or(index)
            }
        });
        let result = result.await.unwrap().map(|(winner, ())| winner);
        (result, begin.elapsed().as_millis(), begun.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_takes_long_gets_company_and_may_still_win() {
        assert_eq!(play(&[(299, true), (1, true)]).await, (Ok(0), 299, vec![0]));
        assert_eq!(
            play(&[(9000, true), (100, true)]).await,
            (Ok(1), 400, vec![0, 300])
        );
        assert_eq!(
            play(&[(500, true), (9000, true), (9000, true)]).await,
            (Ok(0), 500, vec![0, 300])
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_starts_the_next_at_once_and_the_delay_anew() {
        assert_eq!(
            play(&[(9000, true), (100, false), (9000, true), (10, true)]).await,
            (Ok(3), 710, vec![0, 300, 400, 700])
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_error_is_told_when_all_have_failed() {
        assert_eq!(
            play(&[(700, false), (100, false), (50, false)]).await,
            (Err(0), 700, vec![0, 300, 400])
        );
        assert!(race(0..0, |_| async { Err::<(), ()>(()) }).await.is_none());
    }
}
