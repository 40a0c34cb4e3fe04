//! What may become of an experiment, and what is refused. Pure: the ledger writes it.

use crate::contract::{Experiment, ExperimentMetric, ExperimentState};
use crate::selection::{DEFAULT_STRATEGY, fold};
use std::collections::{BTreeMap, BTreeSet};

/// Below it an experiment would last for ever.
const LEAST_SHARE: f64 = 0.01;
/// What shares of decimals may be off 1 together.
const ROUNDING: f64 = 1e-6;
const MOST_VARIANTS: usize = 10;
/// Characters of a name.
const LONGEST: usize = 64;

/// Why not, each fault with what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct Refused(pub Vec<String>);

fn refused<T>(why: String) -> Result<T, Refused> {
    Err(Refused(vec![why]))
}

/// Whether a draft may start, where these are known by name and these strategies are configured.
///
/// # Errors
/// All that is wrong with it.
pub fn start(
    draft: &Experiment,
    known: &BTreeMap<String, Experiment>,
    strategies: &BTreeSet<&str>,
) -> Result<(), Refused> {
    let mut faults = Vec::new();
    let mut that = |holds: bool, fault: String| {
        if !holds {
            faults.push(fault);
        }
    };
    let (name, variants) = (&draft.name, &draft.variants);
    that(is_name(name), format!("`{name}` is no name: use 1 to {LONGEST} of A-Z a-z 0-9 . _ -"));
    if let Some(other) = known.get(name) {
        let state = other.state.symbol();
        that(
            false,
            format!("`{name}` is there already ({state}), and what it has shown stays under its name: take another"),
        );
    }
    that(
        (2..=MOST_VARIANTS).contains(&variants.len()),
        format!("{} variants: give 2 to {MOST_VARIANTS}, the control first", variants.len()),
    );
    let mut names = BTreeSet::new();
    for variant in variants {
        let (name, strategy, share) = (&variant.name, &variant.strategy, variant.share);
        that(is_name(name), format!("variant `{name}` has no name: use 1 to {LONGEST} of A-Z a-z 0-9 . _ -"));
        that(names.insert(name), format!("variant `{name}` is given twice"));
        if *strategy != DEFAULT_STRATEGY && !strategies.contains(strategy.as_str()) {
            let configured: Vec<&str> = [DEFAULT_STRATEGY].into_iter().chain(strategies.iter().copied()).collect();
            let there = configured.join(", ");
            that(
                false,
                format!(
                    "variant `{name}`: there is no strategy `{strategy}` ({there}); configure [strategies.{strategy}]"
                ),
            );
        }
        // Written so that NaN is none.
        let is_share = (LEAST_SHARE..=1.0 - LEAST_SHARE).contains(&share);
        that(is_share, format!("variant `{name}`: its share of {share} is not between 0.01 and 0.99"));
    }
    let sum: f64 = variants.iter().map(|variant| variant.share).sum();
    that((sum - 1.0).abs() <= ROUNDING, format!("the shares add up to {sum}, not to 1"));
    that(draft.metric != ExperimentMetric::Unknown, "the metric is none of SUCCESS, LATENCY, COST".to_owned());
    let mut guarded = BTreeSet::new();
    for rail in &draft.guardrails {
        let (metric, tolerated) = (rail.metric.symbol(), rail.tolerated);
        that(guarded.insert(rail.metric), format!("guardrail {metric} is given twice"));
        let most = if rail.metric == ExperimentMetric::Success { 1.0 } else { f64::MAX };
        let is_sound = rail.metric != ExperimentMetric::Unknown && (0.0..=most).contains(&tolerated);
        that(is_sound, format!("guardrail {metric}: {tolerated} is nothing that can be tolerated"));
    }
    that(
        draft.task_types.iter().all(|kind| !kind.trim().is_empty()),
        "a task type is empty; leave it out for all types".to_owned(),
    );
    for other in known.values().filter(|other| other.state == ExperimentState::Running && other.name != *name) {
        let which = overlap(draft, other);
        that(which.is_none(), format!("`{}` runs on {}: stop it first", other.name, which.unwrap_or_default()));
    }
    if faults.is_empty() { Ok(()) } else { Err(Refused(faults)) }
}

/// The experiment without effect: its tasks are chosen for as if it were not there.
///
/// # Errors
/// If it has none.
pub fn stop(one: &Experiment, actor: &str, reason: &str, now: i64) -> Result<Experiment, Refused> {
    if !matches!(one.state, ExperimentState::Running | ExperimentState::Promoted) {
        return refused(format!("`{}` is {} already: {}", one.name, one.state.symbol(), one.reason));
    }
    Ok(Experiment { promoted: None, ..moved(one, ExperimentState::Stopped, actor, reason, now) })
}

/// All its tasks chosen for by the strategy of one variant. One that a guardrail stopped only if `forced`.
///
/// # Errors
/// If there is no such variant, or it is promoted already.
pub fn promote(
    one: &Experiment,
    variant: &str,
    actor: &str,
    reason: &str,
    now: i64,
    forced: bool,
) -> Result<Experiment, Refused> {
    let Some(winner) = one.variants.iter().find(|known| known.name == variant) else {
        let known: Vec<&str> = one.variants.iter().map(|known| known.name.as_str()).collect();
        return refused(format!("`{}` has no variant `{variant}`; it has {}", one.name, known.join(", ")));
    };
    if one.promoted.as_deref() == Some(variant) {
        return refused(format!("`{variant}` of `{}` is promoted already", one.name));
    }
    if winner.stopped_at.is_some() && !forced {
        let why = &winner.stopped_for;
        return refused(format!("`{variant}` was stopped by a guardrail ({why}); --force promotes it all the same"));
    }
    let promoted = Some(variant.to_owned());
    Ok(Experiment { promoted, ..moved(one, ExperimentState::Promoted, actor, reason, now) })
}

/// The experiment without one of its variants; the whole of it stopped if only the control is left.
///
/// # Errors
/// If it does not run, or there is no such variant besides the control, or that is stopped already.
pub fn stop_variant(one: &Experiment, variant: &str, actor: &str, why: &str, now: i64) -> Result<Experiment, Refused> {
    let is_meant = |place: usize| place > 0 && one.variants[place].name == variant;
    let place = (0..one.variants.len()).find(|place| is_meant(*place));
    let Some(place) = place.filter(|place| one.variants[*place].stopped_at.is_none()) else {
        return refused(format!("`{}` has no variant `{variant}` that could be stopped", one.name));
    };
    if one.state != ExperimentState::Running {
        return refused(format!("`{}` is {}", one.name, one.state.symbol()));
    }
    let mut without = one.clone();
    (without.variants[place].stopped_at, without.variants[place].stopped_for) = (Some(now), why.to_owned());
    let reason = format!("`{variant}` was stopped by a guardrail: {why}");
    let is_over = without.variants[1..].iter().all(|variant| variant.stopped_at.is_some());
    let state = if is_over { ExperimentState::Stopped } else { ExperimentState::Running };
    Ok(moved(&without, state, actor, &reason, now))
}

fn moved(one: &Experiment, state: ExperimentState, actor: &str, reason: &str, now: i64) -> Experiment {
    let ends = one.state == ExperimentState::Running && state != ExperimentState::Running;
    Experiment {
        state,
        actor: actor.to_owned(),
        reason: reason.to_owned(),
        ended_at: if ends { Some(now) } else { one.ended_at },
        at: now,
        ..one.clone()
    }
}

fn is_name(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// The tasks that both are about, in words; none if there are none.
fn overlap(one: &Experiment, other: &Experiment) -> Option<String> {
    let kinds = |of: &Experiment| of.task_types.iter().map(|kind| fold(kind)).collect::<BTreeSet<_>>();
    let (one, other) = (kinds(one), kinds(other));
    if one.is_empty() || other.is_empty() {
        return Some(if other.is_empty() { "all tasks".to_owned() } else { "some of all tasks".to_owned() });
    }
    let both: Vec<&str> = one.intersection(&other).map(String::as_str).collect();
    (!both.is_empty()).then(|| format!("tasks of type {}", both.join(", ")))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::contract::{ExperimentGuardrail, ExperimentVariant};

    /// Half of the tasks the default strategy, a quarter each two others.
    pub(in crate::experiments) fn started(name: &str, kinds: &[&str], at: i64) -> Experiment {
        let variant = |(name, strategy, share): (&str, &str, f64)| ExperimentVariant {
            name: name.to_owned(),
            strategy: strategy.to_owned(),
            share,
            stopped_at: None,
            stopped_for: String::new(),
        };
        Experiment {
            name: name.to_owned(),
            description: String::new(),
            task_types: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            variants: [("a", "default", 0.5), ("b", "eager", 0.25), ("c", "frugal", 0.25)].map(variant).into(),
            metric: ExperimentMetric::Success,
            guardrails: vec![ExperimentGuardrail { metric: ExperimentMetric::Success, tolerated: 0.05 }],
            state: ExperimentState::Running,
            promoted: None,
            reason: String::new(),
            actor: "me".to_owned(),
            started_at: at,
            ended_at: None,
            at,
        }
    }

    pub(in crate::experiments) fn stopped_at(one: &Experiment, at: i64) -> Experiment {
        stop_variant(one, "b", "insights", "it fails", at).expect("it runs")
    }

    fn faults(draft: &Experiment, known: &[Experiment]) -> Vec<String> {
        let known = known.iter().map(|one| (one.name.clone(), one.clone())).collect();
        start(draft, &known, &["eager", "frugal"].into()).err().map(|refused| refused.0).unwrap_or_default()
    }

    #[test]
    fn what_is_sound_may_start_and_shares_that_do_not_add_up_or_strategies_that_are_not_there_may_not() {
        assert_eq!(faults(&started("x", &[], 1), &[]), [""; 0]);
        let mut draft = started("x y", &[" "], 1);
        draft.variants[1].share = 0.5;
        draft.variants[2].strategy = "lavish".to_owned();
        draft.variants[2].name = "a".to_owned();
        draft.guardrails[0].tolerated = -0.1;
        let said = faults(&draft, &[]);
        for (fault, part) in said.iter().zip([
            "`x y` is no name",
            "`a` is given twice",
            "no strategy `lavish` (default, eager, frugal)",
            "add up to 1.25",
            "guardrail SUCCESS: -0.1",
            "task type is empty",
        ]) {
            assert!(fault.contains(part), "{part} is not in {fault}");
        }
        assert_eq!(said.len(), 6, "{said:?}");
        for share in [0.0, f64::NAN, 1.0] {
            let mut draft = started("x", &[], 1);
            draft.variants[0].share = share;
            assert!(faults(&draft, &[])[0].contains("not between"), "{share}");
        }
        let mut alone = started("x", &[], 1);
        alone.variants.truncate(1);
        alone.variants[0].share = 0.99;
        assert!(faults(&alone, &[])[0].contains("1 variants: give 2"));
    }

    #[test]
    fn a_name_is_used_once_and_no_task_is_in_two_that_run() {
        let (leads, all) = (started("leads", &["Lead"], 1), started("all", &[], 1));
        assert!(faults(&started("leads", &["other"], 2), std::slice::from_ref(&leads))[0].contains("take another"));
        let told = |draft: &Experiment, other: &Experiment| faults(draft, std::slice::from_ref(other)).concat();
        assert!(told(&started("x", &["lead ", "b"], 2), &leads).contains("`leads` runs on tasks of type lead"));
        assert!(told(&started("x", &["b"], 2), &all).contains("`all` runs on all tasks"));
        assert!(told(&started("x", &[], 2), &leads).contains("some of all tasks"));
        assert_eq!(told(&started("x", &["b"], 2), &leads), "");
        let over = stop(&all, "me", "", 2).expect("it runs");
        assert_eq!(told(&started("x", &["b"], 3), &over), "");
    }

    #[test]
    fn it_is_stopped_or_promoted_and_a_promotion_is_ended_by_a_stop() {
        let one = started("x", &[], 1);
        let promoted = promote(&one, "b", "you", "it is better", 5, false).expect("it runs");
        assert_eq!((promoted.state, promoted.promoted.as_deref()), (ExperimentState::Promoted, Some("b")));
        assert_eq!((promoted.ended_at, promoted.at, &*promoted.actor), (Some(5), 5, "you"));
        assert!(promote(&promoted, "b", "you", "", 6, false).is_err());
        let stopped = stop(&promoted, "me", "enough", 7).expect("it has an effect");
        assert_eq!((stopped.state, stopped.promoted.as_deref()), (ExperimentState::Stopped, None));
        assert_eq!((stopped.ended_at, stopped.at), (Some(5), 7));
        assert!(stop(&stopped, "me", "", 8).expect_err("it has none").to_string().contains("STOPPED already: enough"));
        assert!(promote(&stopped, "z", "me", "", 8, false).expect_err("no such").to_string().contains("a, b, c"));
        assert_eq!(promote(&stopped, "c", "me", "", 9, false).map(|one| one.ended_at), Ok(Some(5)));
    }

    #[test]
    fn a_guardrail_stops_one_variant_after_the_other_and_with_the_last_the_experiment() {
        let one = stopped_at(&started("x", &[], 1), 5);
        assert_eq!((one.state, one.variants[1].stopped_at, one.ended_at), (ExperimentState::Running, Some(5), None));
        for variant in ["a", "b", "z"] {
            assert!(stop_variant(&one, variant, "insights", "", 6).is_err(), "{variant}");
        }
        let refused = promote(&one, "b", "me", "", 6, false).expect_err("a guardrail stopped it");
        assert!(refused.to_string().contains("(it fails); --force"), "{refused}");
        assert!(promote(&one, "b", "me", "", 6, true).is_ok());
        let over = stop_variant(&one, "c", "insights", "it is slow", 7).expect("it runs");
        assert_eq!((over.state, over.ended_at), (ExperimentState::Stopped, Some(7)));
        assert_eq!((&*over.actor, &*over.reason), ("insights", "`c` was stopped by a guardrail: it is slow"));
        assert!(stop_variant(&over, "c", "insights", "", 8).is_err());
    }
}
