//! One provider's turn on the ladder: its breaker, its limits, its calls, retries and re-ask.

use super::breaker::{Breaker, Cause, Told, Waits};
use super::call::{Endpoint, Outcome, truncate};
use super::codec::{self, Reading, Repair, Tokens};
use super::limits::{Limits, Refused};
use super::question::{Invalid, Question};
use super::retry::{backoff, is_passing};
use super::settings::Provider;
use crate::workflow::{Attempt, Usage};
use reqwest::Client;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep, sleep_until};

/// A second invalid answer is no accident: the next provider is asked.
const MAX_REASKS: u32 = 1;
/// A bound for servers that say "again" without a wait; the time is up long before otherwise.
const MAX_RETRIES: u32 = 4;
/// A call that had less than this tells nothing about its endpoint by not answering.
const FAIR: Duration = Duration::from_millis(100);
/// A wait that leaves less than this for the call itself is not begun.
const LEAST: Duration = Duration::from_millis(50);
/// JSON text has about 3 to 4 bytes per token; the lower one, so that a reservation is rarely too small.
const BYTES_PER_TOKEN: u64 = 3;

/// The waits, apart so that tests need not sit through them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tuning {
    pub(super) first_retry: Duration,
    pub(super) breaker: Waits,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { first_retry: Duration::from_millis(500), breaker: Waits::default() }
    }
}

/// One provider with everything that is remembered about it.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) provider: Provider,
    endpoint: Endpoint,
    breaker: Breaker,
    limits: Limits,
    tuning: Tuning,
}

/// How a provider's turn ended: an answer, or a code.
#[derive(Debug)]
pub(super) struct Turn<A> {
    pub(super) said: Result<A, &'static str>,
    pub(super) called: bool,
}

/// What follows a call.
enum Next<A> {
    Valid(A),
    Reask(Invalid, String),
    Retry { after: Option<Duration>, code: &'static str },
    GiveUp(&'static str),
}

impl Lane {
    pub(super) fn new(client: Client, provider: Provider, tuning: Tuning) -> Result<Self, String> {
        let endpoint = Endpoint::new(client, &provider)?;
        let limits = Limits::new(&provider, Instant::now());
        Ok(Self { provider, endpoint, breaker: Breaker::new(tuning.breaker), limits, tuning })
    }

    pub(super) fn is_open_to(&self, now: Instant) -> bool {
        self.breaker.refusal(now).is_none()
    }

    /// Asks this provider until it answers validly, will not, or its time is up. Each call, and each reason for making none,
    /// is added to `attempts`.
    pub(super) async fn turn<Q: Question>(
        &self,
        question: &Q,
        seed: u32,
        until: Instant,
        attempts: &mut Vec<Attempt>,
    ) -> Turn<Q::Answer> {
        let (mut called, mut retries, mut reasks) = (false, 0, 0);
        let mut repair = None;
        loop {
            let next = self.step(question, repair.as_ref(), until, attempts, &mut called).await;
            let code = match next {
                Next::Valid(said) => return Turn { said: Ok(said), called },
                Next::Reask(invalid, said) if reasks < MAX_REASKS => {
                    reasks += 1;
                    let said = if said.trim().is_empty() { "(nothing)" } else { truncate(&said, Q::REPEATED) };
                    repair = Some(Repair { said: said.to_owned(), told: question.repair(&invalid.why) });
                    continue;
                }
                Next::Reask(..) => "invalid_answer",
                Next::Retry { after, code } if retries < MAX_RETRIES => {
                    let wait = after.unwrap_or_else(|| backoff(self.tuning.first_retry, retries, seed));
                    if wait.saturating_add(LEAST) < until.saturating_duration_since(Instant::now()) {
                        retries += 1;
                        sleep(wait).await;
                        continue;
                    }
                    code
                }
                Next::Retry { code, .. } | Next::GiveUp(code) => code,
            };
            return Turn { said: Err(code), called };
        }
    }

    /// One call without retry or re-ask, and what came of it.
    pub(super) async fn once<Q: Question>(&self, question: &Q, until: Instant) -> Attempt {
        let mut attempts = Vec::new();
        self.step(question, None, until, &mut attempts, &mut false).await;
        attempts.pop().expect("a step records what it did")
    }

    /// One call, if breaker and limits let it through.
    async fn step<Q: Question>(
        &self,
        question: &Q,
        repair: Option<&Repair>,
        until: Instant,
        attempts: &mut Vec<Attempt>,
        called: &mut bool,
    ) -> Next<Q::Answer> {
        let arrived = Instant::now();
        let last_start = until.checked_sub(LEAST).unwrap_or(until);
        let skipped = |verdict: &'static str, code: &'static str, attempts: &mut Vec<Attempt>| {
            attempts.push(self.attempt(String::new(), verdict.to_owned(), arrived.elapsed(), Usage::default()));
            Next::GiveUp(code)
        };
        let open = |cause: Cause, attempts: &mut Vec<Attempt>| match cause {
            Cause::Failing => skipped("breaker_open", "unavailable", attempts),
            Cause::Misconfigured => skipped("breaker_open", "misconfigured", attempts),
            Cause::RateLimited => skipped("rate_limited", "rate_limited", attempts),
        };
        let pass = match self.breaker.admit(arrived) {
            Ok(pass) => pass,
            Err(cause) => return open(cause, attempts),
        };
        // No limit of the provider's: those before it take all the time there is.
        let Some(_slot) = self.limits.slot(last_start).await else {
            return skipped("max_in_flight", "timeout", attempts);
        };
        let body = codec::request(&self.provider, question, repair);
        let estimate = Tokens {
            input: (body.len() as u64).div_ceil(BYTES_PER_TOKEN),
            output: u64::from(codec::output_tokens::<Q>(&self.provider)),
        };
        let reserved = loop {
            let now = Instant::now();
            match self.limits.reserve(estimate, now, utc_day()) {
                Ok(reserved) => break reserved,
                Err(Refused::CostCap) => return skipped("cost_cap", "cost_cap", attempts),
                Err(Refused::For(wait)) if wait < last_start.saturating_duration_since(now) => {
                    sleep_until(now + wait).await
                }
                Err(Refused::For(_) | Refused::TooLarge) => return skipped("rate_limited", "rate_limited", attempts),
            }
        };
        if !pass.still_holds() {
            // The endpoint was found broken while this question waited: nothing was sent.
            self.limits.correct(reserved, Tokens { input: 0, output: 0 });
            return open(self.breaker.refusal(Instant::now()).unwrap_or(Cause::Failing), attempts);
        }

        *called = true;
        let sent = Instant::now();
        let outcome = self.endpoint.post(body, until).await;
        let millis = sent.elapsed();
        let real = match &outcome {
            Outcome::Answered(_, tokens) => *tokens,
            Outcome::Connect(_) | Outcome::Status { .. } => Some(Tokens { input: 0, output: 0 }),
            // Perhaps worked on, perhaps billed: the estimate stands.
            Outcome::Foreign(_) | Outcome::TooLarge | Outcome::Timeout | Outcome::Lost(_) => None,
        };
        if let Some(real) = real {
            self.limits.correct(reserved, real);
        }
        let usage = real.map_or_else(Usage::default, |tokens| self.usage(tokens));
        let judged = self.judge(outcome, question, sent, until);
        if let Some((cause, wait)) = pass.settle(judged.told, Instant::now()) {
            tracing::warn!(provider = %self.provider.name, ?cause, ?wait, verdict = %judged.verdict, "LLM provider is left alone");
        }
        attempts.push(self.attempt(judged.answer, judged.verdict, millis, usage));
        judged.next
    }

    fn judge<Q: Question>(&self, outcome: Outcome, question: &Q, sent: Instant, until: Instant) -> Judged<Q::Answer> {
        let judged = |answer: &str, verdict: &str, told: Told, next: Next<Q::Answer>| Judged {
            answer: self.endpoint.record(answer),
            verdict: verdict.to_owned(),
            told,
            next,
        };
        match outcome {
            Outcome::Answered(Reading::Text(text), _) => match question.read(&text, self.provider.structured) {
                Ok(answer) => judged(&text, "valid", Told::Healthy, Next::Valid(answer)),
                Err(invalid) => judged(&text, invalid.verdict, Told::Healthy, Next::Reask(invalid, text.clone())),
            },
            Outcome::Answered(Reading::Truncated(text), _) => {
                judged(&text, "truncated", Told::Healthy, Next::Reask(question.truncated(), text.clone()))
            }
            Outcome::Answered(Reading::Refusal(text), _) => {
                judged(&text, "refusal", Told::Healthy, Next::GiveUp("refused"))
            }
            Outcome::Foreign(body) => {
                judged(&String::from_utf8_lossy(&body), "bad_response", Told::Failing, Next::GiveUp("invalid_answer"))
            }
            Outcome::TooLarge => judged("", "too_large", Told::Failing, Next::GiveUp("invalid_answer")),
            Outcome::Timeout => {
                let told = if until - sent >= FAIR { Told::Failing } else { Told::Nothing };
                judged("", "timeout", told, Next::GiveUp("timeout"))
            }
            Outcome::Connect(why) => {
                judged(&why, "connect", Told::Failing, Next::Retry { after: None, code: "unavailable" })
            }
            Outcome::Lost(why) => {
                judged(&why, "connection_lost", Told::Failing, Next::Retry { after: None, code: "unavailable" })
            }
            Outcome::Status { status, advice, body } => {
                let text = String::from_utf8_lossy(&body);
                let verdict = format!("http_{status}");
                if status == 400 && codec::blames_the_question(&body) {
                    return judged(&text, &verdict, Told::Healthy, Next::GiveUp("refused"));
                }
                let code = if status == 429 { "rate_limited" } else { "unavailable" };
                if !advice.should.unwrap_or_else(|| is_passing(status)) {
                    return if is_passing(status) {
                        judged(&text, &verdict, Told::Failing, Next::GiveUp(code))
                    } else {
                        let its_form = matches!(status, 400 | 413 | 422) && !Q::IS_PLAIN;
                        let told = if its_form { Told::Nothing } else { Told::Misconfigured };
                        judged(&text, &verdict, told, Next::GiveUp("misconfigured"))
                    };
                }
                let left = until.saturating_duration_since(Instant::now());
                let told = match advice.after {
                    Some(after) if after >= left => Told::LeaveAlone(after),
                    _ if matches!(status, 409 | 429) => Told::Nothing,
                    _ => Told::Failing,
                };
                judged(&text, &verdict, told, Next::Retry { after: advice.after, code })
            }
        }
    }

    fn usage(&self, tokens: Tokens) -> Usage {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        Usage {
            input_tokens: signed(tokens.input),
            output_tokens: signed(tokens.output),
            cost_micros: signed(self.limits.cost(tokens)),
        }
    }

    fn attempt(&self, answer: String, verdict: String, took: Duration, usage: Usage) -> Attempt {
        let millis = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
        tracing::debug!(provider = %self.provider.name, model = %self.provider.model, verdict, millis,
            input_tokens = usage.input_tokens, output_tokens = usage.output_tokens, cost_micros = usage.cost_micros, "LLM attempt");
        Attempt {
            provider: self.provider.name.clone(),
            model: self.provider.model.clone(),
            answer,
            verdict,
            millis,
            usage,
        }
    }
}

/// A call's outcome as the record, the breaker and the ladder see it.
struct Judged<A> {
    answer: String,
    verdict: String,
    told: Told,
    next: Next<A>,
}

/// Days since 1970, UTC.
fn utc_day() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() / 86_400
}
