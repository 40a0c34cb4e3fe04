//! What an experiment has shown so far. Pure, of its record and its tally; may be read at any time.
//!
//! Tasks are taken in the order in which they were first decided on. One that is still open, or that somebody cancelled, is
//! counted as such and compared with none.

use super::tally::{Seen, Tally};
use crate::contract::{Experiment, ExperimentMetric, ExperimentState};
use crate::selection::{Arm, Better, Difference, Guardrail, Shares};
use serde::Serialize;

/// How often a difference is said to be there that is not, all variants and all looks together.
const LEVEL: f64 = 0.05;
/// How often a variant is stopped that keeps to its guardrails, all of them, all variants and all looks together.
const GUARDRAIL_LEVEL: f64 = 0.01;
/// Counts that are so unlikely by the shares are not by chance.
const SUSPICIOUS: f64 = 0.01;
const METRICS: [ExperimentMetric; 3] = [ExperimentMetric::Success, ExperimentMetric::Latency, ExperimentMetric::Cost];

/// What it has shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub variants: Vec<VariantReport>,
    pub sample_ratio: SampleRatio,
    /// More tasks came than are counted.
    pub is_full: bool,
}

/// Whether the variants got their shares.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SampleRatio {
    /// 0 to 1; may be read at any time.
    pub p_value: f64,
    /// The variants did not get what they were to get: nothing else can be trusted.
    pub is_suspicious: bool,
}

/// One variant. Latencies in milliseconds and cost in micros, of tasks that ended and were not cancelled.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VariantReport {
    pub name: String,
    pub strategy: String,
    pub share: f64,
    /// open + cancelled + ended.
    pub tasks: usize,
    pub open: usize,
    pub cancelled: usize,
    pub ended: usize,
    pub succeeded: usize,
    /// 0 to 1.
    pub success_rate: Option<f64>,
    pub p50_ms: Option<i64>,
    pub p95_ms: Option<i64>,
    pub input_tokens: i64,
    pub output_tokens: i64,
    pub cost_micros: i64,
    pub cost_micros_per_task: Option<f64>,
    /// Against the control, by metric; empty for the control itself.
    pub comparisons: Vec<Comparison>,
    /// The guardrail it breaks, in words.
    pub broken_guardrail: Option<String>,
    pub stopped_for: Option<String>,
}

/// By how much a variant differs from the control: of success in the share, of latency as a part of it (0.1 = a tenth
/// longer), of cost in micros for a task.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    pub metric: ExperimentMetric,
    /// Whether the experiment is decided by it.
    pub decides: bool,
    pub estimate: f64,
    /// Between what the difference lies; none before there is enough to go by.
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// 0 to 1, as the interval holds for all variants and all looks together.
    pub p_value: f64,
    pub verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// Than the control.
    Better,
    Worse,
    /// No difference has shown.
    Undecided,
}

impl Report {
    #[must_use]
    pub fn new(experiment: &Experiment, tally: &Tally) -> Self {
        let tasks = tally.in_order();
        let variants = (0..experiment.variants.len()).map(|place| variant(experiment, &tasks, place));
        Self { variants: variants.collect(), sample_ratio: sample_ratio(experiment, &tasks), is_full: tally.is_full() }
    }

    /// The first variant that runs and breaks a guardrail, and which, in words.
    #[must_use]
    pub fn broken(&self) -> Option<(&str, &str)> {
        self.variants.iter().find_map(|one| Some((one.name.as_str(), one.broken_guardrail.as_deref()?)))
    }
}

/// A variant that is stopped gets no more tasks: what came before its end is judged.
fn sample_ratio(experiment: &Experiment, tasks: &[Seen]) -> SampleRatio {
    let shares: Vec<f64> = experiment.variants.iter().map(|variant| variant.share).collect();
    let end = experiment.variants.iter().filter_map(|variant| variant.stopped_at).min().unwrap_or(i64::MAX);
    let mut counted = Shares::new(&shares);
    tasks.iter().filter(|seen| seen.begun < end).for_each(|seen| counted.take(seen.variant));
    let p_value = counted.p_value();
    SampleRatio { p_value, is_suspicious: p_value < SUSPICIOUS }
}

fn variant(experiment: &Experiment, tasks: &[Seen], place: usize) -> VariantReport {
    let own: Vec<&Seen> = tasks.iter().filter(|seen| seen.variant == place).collect();
    let ended: Vec<_> = own.iter().filter_map(|seen| seen.ended()).collect();
    let mut millis: Vec<i64> = own.iter().filter_map(|seen| seen.millis()).collect();
    millis.sort_unstable();
    let open = own.iter().filter(|seen| seen.end == super::tally::End::Open).count();
    let succeeded = ended.iter().filter(|ended| ended.succeeded).count();
    let cost_micros: i64 = ended.iter().map(|ended| ended.cost_micros).sum();
    #[allow(clippy::cast_precision_loss, reason = "counts of tasks, and their cost")]
    let per_task = |sum: f64| (!ended.is_empty()).then(|| sum / ended.len() as f64);
    let of = &experiment.variants[place];
    let rivals = experiment.variants.len().saturating_sub(1).max(1);
    let differences = if place == 0 { Vec::new() } else { differences(experiment, tasks, place).into() };
    #[allow(clippy::cast_precision_loss, reason = "a few variants, counts of tasks and their cost")]
    VariantReport {
        name: of.name.clone(),
        strategy: of.strategy.clone(),
        share: of.share,
        tasks: own.len(),
        open,
        cancelled: own.len() - open - ended.len(),
        ended: ended.len(),
        succeeded,
        success_rate: per_task(succeeded as f64),
        p50_ms: quantile(&millis, 50),
        p95_ms: quantile(&millis, 95),
        input_tokens: ended.iter().map(|ended| ended.input_tokens).sum(),
        output_tokens: ended.iter().map(|ended| ended.output_tokens).sum(),
        cost_micros,
        cost_micros_per_task: per_task(cost_micros as f64),
        comparisons: differences
            .iter()
            .map(|(metric, seen)| comparison(*metric, seen, experiment.metric == *metric, rivals as f64))
            .collect(),
        broken_guardrail: (experiment.state == ExperimentState::Running && of.stopped_at.is_none())
            .then(|| broken(experiment, &differences, rivals as f64))
            .flatten(),
        stopped_for: of.stopped_at.map(|_| of.stopped_for.clone()),
    }
}

/// The least value that so many of a hundred do not exceed.
fn quantile(sorted: &[i64], percent: usize) -> Option<i64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// Of the control and this variant, between which chance drew by their shares.
fn differences(experiment: &Experiment, tasks: &[Seen], place: usize) -> [(ExperimentMetric, Difference); 3] {
    let share = |place: usize| experiment.variants[place].share;
    METRICS.map(|metric| {
        let mut seen = Difference::new(share(place) / (share(0) + share(place)));
        for task in tasks.iter().filter(|task| task.variant == 0 || task.variant == place) {
            let arm = if task.variant == 0 { Arm::Control } else { Arm::Variant };
            if let Some(value) = value(metric, task) {
                seen.take(arm, value);
            }
        }
        (metric, seen)
    })
}

#[allow(clippy::cast_precision_loss, reason = "milliseconds and micros of one task")]
fn value(metric: ExperimentMetric, task: &Seen) -> Option<f64> {
    let ended = task.ended()?;
    match metric {
        ExperimentMetric::Success => Some(f64::from(u8::from(ended.succeeded))),
        ExperimentMetric::Latency => Some((task.millis()?.max(1) as f64).ln()),
        ExperimentMetric::Cost => Some(ended.cost_micros as f64),
        ExperimentMetric::Unknown => None,
    }
}

fn better(metric: ExperimentMetric) -> Better {
    match metric {
        ExperimentMetric::Success => Better::Higher,
        ExperimentMetric::Latency | ExperimentMetric::Cost | ExperimentMetric::Unknown => Better::Lower,
    }
}

/// What a difference is shown as: of logarithms the part by which they differ, of shares no more than there can be.
fn shown(metric: ExperimentMetric, difference: f64) -> f64 {
    match metric {
        ExperimentMetric::Success => difference.clamp(-1.0, 1.0),
        ExperimentMetric::Latency => difference.exp_m1(),
        ExperimentMetric::Cost | ExperimentMetric::Unknown => difference,
    }
}

fn comparison(metric: ExperimentMetric, seen: &Difference, decides: bool, rivals: f64) -> Comparison {
    let interval = seen.interval(LEVEL / rivals);
    let verdict = match (interval, better(metric)) {
        (Some((low, _)), Better::Higher) if low > 0.0 => Verdict::Better,
        (Some((_, high)), Better::Lower) if high < 0.0 => Verdict::Better,
        (Some((_, high)), Better::Higher) if high < 0.0 => Verdict::Worse,
        (Some((low, _)), Better::Lower) if low > 0.0 => Verdict::Worse,
        _ => Verdict::Undecided,
    };
    Comparison {
        metric,
        decides,
        estimate: shown(metric, seen.estimate()),
        low: interval.map(|(low, _)| shown(metric, low)),
        high: interval.map(|(_, high)| shown(metric, high)),
        p_value: (seen.p_value() * rivals).min(1.0),
        verdict,
    }
}

/// The first guardrail that a variant breaks, in words.
fn broken(experiment: &Experiment, differences: &[(ExperimentMetric, Difference)], rivals: f64) -> Option<String> {
    #[allow(clippy::cast_precision_loss, reason = "a few")]
    let level = GUARDRAIL_LEVEL / rivals / experiment.guardrails.len().max(1) as f64;
    experiment.guardrails.iter().find_map(|rail| {
        let (metric, seen) = differences.iter().find(|(metric, _)| *metric == rail.metric)?;
        let in_its_unit = if *metric == ExperimentMetric::Latency { rail.tolerated.ln_1p() } else { rail.tolerated };
        let judge = Guardrail { better: better(*metric), tolerated: in_its_unit, level };
        if !judge.is_broken(seen) {
            return None;
        }
        let (low, high) = seen.interval(2.0 * level)?;
        let (low, high) = (shown(*metric, low), shown(*metric, high));
        let [control, variant] = seen.counts();
        let told = |value: f64| match metric {
            ExperimentMetric::Success => format!("{:+.1} points", value * 100.0),
            ExperimentMetric::Latency => format!("{:+.0} %", value * 100.0),
            ExperimentMetric::Cost | ExperimentMetric::Unknown => format!("{value:+.0} micros"),
        };
        let (name, tolerated) = (metric.symbol(), told(if judge.better == Better::Higher { -rail.tolerated } else { rail.tolerated }));
        let (low, high) = (told(low), told(high));
        Some(format!(
            "{name} differs by {low} to {high} from the control, {tolerated} are tolerated ({variant} tasks against {control})"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::super::change::tests::{started, stopped_at};
    use super::super::tally::tests::{completion, decision};
    use super::*;
    use crate::contract::{ExperimentGuardrail, Outcome};

    /// Tasks of a, b and c as their shares say; those of b fail as often as said of a hundred, take twice as long and cost
    /// half.
    fn tally(experiment: &Experiment, tasks: usize, failing: u64) -> Tally {
        let (mut tally, mut dice) = (Tally::new(experiment), fastrand::Rng::with_seed(7));
        for number in 0..tasks {
            let variant = ["a", "a", "b", "c"][dice.usize(..4)];
            let (id, at) = (format!("t-{number}"), i64::try_from(number).expect("a few") * 10);
            tally.decided(&decision(&id, Some(&format!("x/{variant}")), at));
            let (fails, factor) = if variant == "b" { (failing, 2) } else { (10, 1) };
            let outcome = if dice.u64(..100) < fails { Outcome::Failed } else { Outcome::Succeeded };
            let took = dice.i64(80..120) * factor;
            tally.completed(&completion(&id, outcome, at + took, 400 / factor));
        }
        tally
    }

    #[test]
    fn figures_are_those_of_the_tasks() {
        let one = started("x", &[], 1);
        let mut tally = Tally::new(&one);
        for (number, took) in [30, 10, 20, 40].into_iter().enumerate() {
            let id = number.to_string();
            tally.decided(&decision(&id, Some("x/a"), 100));
            let outcome = if took == 40 { Outcome::Expired } else { Outcome::Succeeded };
            tally.completed(&completion(&id, outcome, 100 + took, took));
        }
        tally.decided(&decision("open", Some("x/a"), 100));
        tally.decided(&decision("cancelled", Some("x/a"), 100));
        tally.completed(&completion("cancelled", Outcome::Cancelled, 101, 99));
        let report = Report::new(&one, &tally);
        let a = &report.variants[0];
        assert_eq!((a.tasks, a.open, a.cancelled, a.ended, a.succeeded), (6, 1, 1, 4, 3));
        assert_eq!((a.success_rate, a.p50_ms, a.p95_ms), (Some(0.75), Some(20), Some(40)));
        assert_eq!((a.cost_micros, a.cost_micros_per_task, a.input_tokens), (100, Some(25.0), 12));
        assert!(a.comparisons.is_empty());
        let b = &report.variants[1];
        assert_eq!((b.tasks, b.success_rate, b.p50_ms, b.cost_micros_per_task), (0, None, None, None));
        assert_eq!((b.comparisons[0].low, b.comparisons[0].p_value), (None, 1.0));
        assert_eq!(quantile(&[], 50), None);
    }

    #[test]
    fn differences_are_told_each_in_its_way() {
        let one = started("x", &[], 1);
        let report = Report::new(&one, &tally(&one, 4_000, 40));
        let by = |place: usize, metric| {
            *report.variants[place].comparisons.iter().find(|one| one.metric == metric).expect("all are compared")
        };
        let [success, latency, cost] = METRICS.map(|metric| by(1, metric));
        assert_eq!([success.verdict, latency.verdict, cost.verdict], [Verdict::Worse, Verdict::Worse, Verdict::Better]);
        assert!(success.decides && !latency.decides && !cost.decides);
        assert!((success.estimate + 0.3).abs() < 0.06, "{success:?}");
        assert!((latency.estimate - 1.0).abs() < 0.05 && latency.low > Some(0.9), "{latency:?}");
        assert!((cost.estimate + 200.0).abs() < 5.0, "{cost:?}");
        assert!(METRICS.iter().all(|metric| by(2, *metric).verdict == Verdict::Undecided), "{:?}", report.variants[2]);
        assert!(!report.sample_ratio.is_suspicious, "{:?}", report.sample_ratio);
        let (variant, why) = report.broken().expect("b fails too often");
        assert!(variant == "b" && why.starts_with("SUCCESS differs by -"), "{why}");
        assert!(why.contains("-5.0 points are tolerated"), "{why}");
    }

    #[test]
    fn each_guardrail_is_in_its_unit_and_what_keeps_to_them_goes_on() {
        let mut one = started("x", &[], 1);
        let tally = tally(&one, 4_000, 10);
        for (metric, kept, broken) in [
            (ExperimentMetric::Latency, 1.3, 0.8),
            (ExperimentMetric::Success, 0.1, -1.0),
            (ExperimentMetric::Cost, 5.0, -210.0),
        ] {
            let mut guarded = |tolerated| {
                one.guardrails = vec![ExperimentGuardrail { metric, tolerated }];
                Report::new(&one, &tally).broken().map(|(variant, _)| variant.to_owned())
            };
            assert_eq!(guarded(kept), None, "{metric:?}");
            if broken > 0.0 {
                assert_eq!(guarded(broken).as_deref(), Some("b"), "{metric:?}");
            }
        }
    }

    #[test]
    fn a_variant_that_is_stopped_breaks_nothing_more_and_shares_are_judged_until_then() {
        let one = stopped_at(&started("x", &[], 1), 20_000);
        let mut tally = tally(&one, 2_000, 40);
        for number in 0..1_000 {
            tally.decided(&decision(&format!("later-{number}"), Some("x/a"), 20_000 + number));
        }
        let report = Report::new(&one, &tally);
        assert_eq!(report.broken(), None);
        assert_eq!(report.variants[1].stopped_for.as_deref(), Some("it fails"));
        assert!(!report.sample_ratio.is_suspicious, "{:?}", report.sample_ratio);
        let unaware = Report::new(&started("x", &[], 1), &tally);
        assert!(unaware.sample_ratio.is_suspicious, "{:?}", unaware.sample_ratio);
    }
}
