//! How good predictions of an agent's work turn out: one made when it was given an assignment, held against its end.

use super::forgetting::{Forgetting, Mean};
use super::sketch::ACCURACY;
use super::statistics::{Observation, Verdict, verdict};

/// What was expected of one assignment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Probability that it succeeds, 0 to 1.
    pub success: f64,
    /// Milliseconds between which nine of ten successes were expected to be; none where nothing was known.
    pub latency: Option<(f64, f64)>,
}

/// What came of predictions, old ones counting for less.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Foresight {
    /// Share of successes that took as long as was expected, 0 to 1; well predicted it is 0.9. How long a failure took
    /// says nothing of how long a success takes.
    pub covered: Mean,
    /// Mean square by which the predicted probability missed what came, 0 to 1 (the Brier score): 0 of who knows, 0.25
    /// of who always says one half.
    pub brier: Mean,
    /// When the last one came, in milliseconds since the epoch.
    pub at: i64,
}

impl Foresight {
    /// Takes an outcome that says how well the agent works.
    pub fn take(&mut self, seen: &Observation, forgetting: &Forgetting) {
        let Some(prediction) = seen.prediction else { return };
        let succeeded = match verdict(seen.class) {
            Verdict::Good => true,
            Verdict::Bad => false,
            Verdict::Overloaded | Verdict::Unheard | Verdict::Neither | Verdict::Nothing => return,
        };
        let factor = if self.at == 0 { 1.0 } else { forgetting.factor(seen.at - self.at) };
        self.at = self.at.max(seen.at);
        let miss = prediction.success.clamp(0.0, 1.0) - f64::from(succeeded);
        self.brier.take(miss * miss, factor);
        if let (true, Some(range)) = (succeeded, prediction.latency) {
            self.covered.take(f64::from(lies_in(seen.latency_ms, range)), factor);
        }
    }
}

/// To the precision of what the range is made of: buckets, and whole milliseconds.
fn lies_in(latency_ms: i64, (low, high): (f64, f64)) -> bool {
    const HALF: f64 = 0.5;
    #[allow(clippy::cast_precision_loss, reason = "milliseconds of a year are below 2^52")]
    let latency = latency_ms.max(1) as f64;
    (low - HALF) * (1.0 - ACCURACY) <= latency && latency <= (high + HALF) * (1.0 + ACCURACY)
}

#[cfg(test)]
mod tests {
    use super::super::sketch::Sketch;
    use super::*;
    use crate::contract::OutcomeClass;

    const FORGETTING: Forgetting = Forgetting { outcomes: 20.0, millis: 86_400_000.0 };

    fn observation(class: OutcomeClass, latency_ms: i64, at: i64, prediction: Option<Prediction>) -> Observation {
        Observation {
            class,
            latency_ms,
            tokens: 0,
            cost_micros: 0,
            output_bytes: 0,
            quality: None,
            capability: None,
            task_type: None,
            prediction,
            at,
        }
    }

    fn normal(dice: &mut fastrand::Rng) -> f64 {
        (-2.0 * (1.0 - dice.f64()).ln()).sqrt() * (std::f64::consts::TAU * dice.f64()).cos()
    }

    /// The mean coverage and Brier score over 2,000 outcomes of an agent that succeeds with `rate`, predicted with `said`
    /// and a range that is `width` times as wide as it should be.
    fn of(seed: u64, rate: f64, said: f64, width: f64) -> (f64, f64) {
        let (mut dice, mut foresight) = (fastrand::Rng::with_seed(seed), Foresight::default());
        let (mut covered, mut brier) = (0.0, 0.0);
        // 90 % of a normal distribution lie within 1.645 standard deviations.
        let bound = |side: f64| (6.0 + side * width * 1.645 * 0.7_f64).exp();
        let prediction = Some(Prediction { success: said, latency: Some((bound(-1.0), bound(1.0))) });
        for n in 1..=2_100 {
            let class = if dice.f64() < rate { OutcomeClass::Succeeded } else { OutcomeClass::Transient };
            let latency = (6.0 + 0.7 * normal(&mut dice)).exp();
            #[allow(clippy::cast_possible_truncation, reason = "minutes at most")]
            let latency = latency.round() as i64;
            foresight.take(&observation(class, latency, n * 1_000, prediction), &FORGETTING);
            if n > 100 {
                covered += foresight.covered.get().expect("there were successes") / 2_000.0;
                brier += foresight.brier.get().expect("there were outcomes") / 2_000.0;
            }
        }
        (covered, brier)
    }

    #[test]
    fn a_calibrated_predictor_covers_nine_of_ten_and_one_that_is_not_shows() {
        for seed in 0..5 {
            let (covered, brier) = of(seed, 0.8, 0.8, 1.0);
            // Of a rate that is known the score is its variance.
            assert!((covered - 0.9).abs() < 0.02 && (brier - 0.16).abs() < 0.015, "{covered:.3} {brier:.3}");
            let (narrow, boastful) = of(seed, 0.8, 0.99, 0.3);
            assert!(narrow < 0.5 && boastful > brier + 0.02, "{narrow:.3} {boastful:.3}");
        }
    }

    #[test]
    fn an_agent_that_always_takes_as_long_is_covered_though_buckets_are_wide() {
        for millis in [1, 2, 3, 7, 100, 212, 90_000] {
            let mut sketch = Sketch::default();
            #[allow(clippy::cast_precision_loss, reason = "small")]
            (0..30).for_each(|_| sketch.take(millis as f64, 1.0));
            let at = sketch.quantile(0.5).expect("it has values").round();
            assert!(lies_in(millis, (at, at)), "{millis} ms is not {at} ms");
            assert!(!lies_in(millis * 2 + 1, (at, at)));
        }
    }

    #[test]
    fn what_says_nothing_of_the_agent_and_what_nobody_predicted_do_not_count() {
        let (mut foresight, sure) = (Foresight::default(), Prediction { success: 1.0, latency: Some((10.0, 20.0)) });
        for class in
            [OutcomeClass::RateLimited, OutcomeClass::NotAccepted, OutcomeClass::Withdrawn, OutcomeClass::Contract]
        {
            foresight.take(&observation(class, 15, 1, Some(sure)), &FORGETTING);
        }
        foresight.take(&observation(OutcomeClass::Succeeded, 15, 1, None), &FORGETTING);
        assert_eq!(foresight, Foresight::default());
        // A failure is no latency.
        foresight.take(&observation(OutcomeClass::Timeout, 900, 2, Some(sure)), &FORGETTING);
        assert_eq!((foresight.covered.get(), foresight.brier.get()), (None, Some(1.0)));
        let blind = Prediction { success: 0.5, latency: None };
        foresight.take(&observation(OutcomeClass::Succeeded, 15, 3, Some(blind)), &FORGETTING);
        assert!(foresight.covered.get().is_none() && foresight.brier.get().is_some_and(|brier| brier < 0.7));
    }
}
