//! Envoy's `StreamRateLimiter`: holds a body back so that only so many KiB of it pass in a second.

use bytes::Bytes;
use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// Tokens come at this pace; each lets one slice pass.
const FILL_INTERVAL: Duration = Duration::from_millis(50);
/// Tokens of a whole second: more are never saved up.
const MAX_TOKENS: f64 = 20.0;

/// What is held back, and what may pass when.
#[derive(Debug)]
pub struct StreamRateLimiter {
    pieces: VecDeque<Bytes>,
    buffered: usize,
    slice: usize,
    /// Bytes that are paid for.
    allowed: usize,
    tokens: f64,
    filled: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl StreamRateLimiter {
    /// `kbps`: KiB in a second. The first slice passes at once.
    pub fn new(kbps: u64) -> Self {
        let slice = u128::from(kbps) * 1024 * FILL_INTERVAL.as_millis() / 1000;
        Self {
            pieces: VecDeque::new(),
            buffered: 0,
            slice: usize::try_from(slice).unwrap_or(usize::MAX).max(1),
            allowed: 0,
            tokens: 1.0,
            filled: Instant::now(),
            timer: None,
        }
    }

    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.buffered += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// Bytes that wait.
    pub fn buffered(&self) -> usize {
        self.buffered
    }

    /// The next bytes that may pass. Nothing wakes whoever asks while nothing waits.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        loop {
            let Some(first) = self.pieces.front_mut() else {
                self.allowed = 0;
                return Poll::Pending;
            };
            if self.allowed > 0 {
                let piece = first.split_to(first.len().min(self.allowed));
                if first.is_empty() {
                    self.pieces.pop_front();
                }
                self.allowed -= piece.len();
                self.buffered -= piece.len();
                return Poll::Ready(piece);
            }
            if let Some(timer) = &mut self.timer {
                ready!(timer.as_mut().poll(cx));
                self.timer = None;
            }
            self.allowed = self.consume(Instant::now());
            if self.allowed == 0 {
                self.timer = Some(Box::pin(sleep_until(Instant::now() + FILL_INTERVAL)));
            }
        }
    }

    /// How many bytes the tokens of now are good for.
    fn consume(&mut self, now: Instant) -> usize {
        let elapsed = now.saturating_duration_since(self.filled);
        let gained = elapsed.as_secs_f64() / FILL_INTERVAL.as_secs_f64();
        self.tokens = (self.tokens + gained).min(MAX_TOKENS);
        self.filled = now;
        let needed = self.buffered.div_ceil(self.slice) as f64;
        let taken = needed.min(self.tokens.floor());
        self.tokens -= taken;
        (taken as usize).saturating_mul(self.slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    async fn next(limiter: &mut StreamRateLimiter) -> usize {
        poll_fn(|cx| limiter.poll_next(cx)).await.len()
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_passes_at_its_rate() {
        let start = Instant::now();
        let mut limiter = StreamRateLimiter::new(20);
        limiter.push(Bytes::from(vec![0; 1500]));
        limiter.push(Bytes::from(vec![0; 8740]));
        let mut passed = 0;
        while limiter.buffered() > 0 {
            passed += next(&mut limiter).await;
        }
        assert_eq!(passed, 10 * 1024);
        let took = start.elapsed().as_millis();
        assert!((450..500).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_are_saved_for_one_second_only() {
        let mut limiter = StreamRateLimiter::new(20);
        tokio::time::advance(Duration::from_secs(60)).await;
        limiter.push(Bytes::from(vec![0; 100 * 1024]));
        let start = Instant::now();
        let mut passed = 0;
        while start == Instant::now() {
            passed += next(&mut limiter).await;
        }
        assert_eq!(passed, 21 * 1024, "a second's worth, then slice by slice");
    }
}
