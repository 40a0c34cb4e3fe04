use super::super::statistics::Observation;
use super::*;
use crate::contract::OutcomeClass;

/// A standard normal value.
fn normal(dice: &mut fastrand::Rng) -> f64 {
    (-2.0 * (1.0 - dice.f64()).ln()).sqrt() * (std::f64::consts::TAU * dice.f64()).cos()
}

type Law = (&'static str, f64, fn(&mut fastrand::Rng) -> f64);

/// Logarithms of latencies with their standard deviation, the last four with heavy tails or two humps.
const LAWS: [Law; 6] = [
    ("log-normal", 0.5, |dice| 0.5 * normal(dice)),
    ("constant", 0.1, |_| 0.0),
    ("Pareto", 1.0 / 1.5, |dice| -(1.0 - dice.f64()).ln() / 1.5),
    ("Student", 1.732, |dice| {
        let squares: f64 = (0..3).map(|_| normal(dice).powi(2)).sum();
        normal(dice) / (squares / 3.0).sqrt()
    }),
    ("two humps", 1.04, |dice| 0.3 * normal(dice) + if dice.f64() < 0.8 { 0.0 } else { 2.5 }),
    ("rarely slow", 0.6, |dice| 0.3 * normal(dice) + if dice.f64() < 0.97 { 0.0 } else { 3.0 }),
];

fn raised(change: Option<Change>) -> Option<Episode> {
    match change {
        Some(Change::Raised(episode)) => Some(episode),
        _ => None,
    }
}

#[test]
fn at_steady_state_less_than_one_false_alarm_comes_in_10_000_latencies() {
    for (name, _, law) in LAWS {
        let alarms = (0..30).map(|seed| {
            let (mut dice, mut level) = (fastrand::Rng::with_seed(seed), Level::default());
            (0..10_000).filter(|at| raised(level.take(200.0 * law(&mut dice).exp(), 0.0, *at)).is_some()).count()
        });
        let alarms: usize = alarms.sum();
        assert!(alarms <= 15, "{name}: {alarms} in 300,000");
    }
}

#[test]
fn a_shift_of_three_deviations_is_found_within_30_latencies_and_ends_when_it_is_over() {
    for (name, deviation, law) in LAWS {
        for shift in [3.0, -3.0] {
            let mut false_alarms = 0;
            for seed in 0..100 {
                let (mut dice, mut level) = (fastrand::Rng::with_seed(seed), Level::default());
                let mut take = |at, off: f64| level.take(200.0 * (law(&mut dice) + off).exp(), 0.0, at);
                if (0..300).any(|at| take(at, 0.0).is_some()) {
                    false_alarms += 1;
                    continue;
                }
                let found = (300..330).find_map(|at| raised(take(at, shift * deviation)));
                let Some(episode) = found else { panic!("{name}, {shift}, seed {seed}: not found") };
                assert!((episode.value < episode.expected) == (shift < 0.0), "{name}: {episode:?}");
                assert!((260..330).contains(&episode.since), "{name}: {episode:?}");
                assert!((0..200).all(|_| take(400, shift * deviation).is_none()), "{name}: it goes on");
                let ended = (0..80).find_map(|_| take(900, 0.0));
                assert!(matches!(ended, Some(Change::Ended(_))), "{name}, {shift}, seed {seed}: {ended:?}");
            }
            assert!(false_alarms <= 3, "{name}: {false_alarms} of 100 agents within 300 outcomes");
        }
    }
}

#[test]
fn a_drift_too_small_for_a_jump_is_found() {
    let found = (0..200).filter(|seed| {
        let (mut dice, mut level) = (fastrand::Rng::with_seed(*seed), Level::default());
        (0..500).for_each(|at| assert_eq!(level.take((0.5 * normal(&mut dice)).exp(), 0.0, at), None));
        let mut grows = (0..300).map(|at| level.take((0.5 * normal(&mut dice) + 0.002 * f64::from(at)).exp(), 0.0, 1));
        grows.find_map(raised).is_some_and(|episode| episode.kind == Kind::Drift)
    });
    let found = found.count();
    assert!(found >= 190, "{found} of 200");
}

#[test]
fn failures_as_usual_raise_nothing_and_three_deviations_more_are_found_within_30_outcomes() {
    for rate in [0.0, 0.01, 0.05, 0.1, 0.2, 0.4] {
        let alarms = (0..30).map(|seed| {
            let (mut dice, mut failures) = (fastrand::Rng::with_seed(seed), Rate::default());
            (0..10_000).filter(|at| raised(failures.take(dice.f64() < rate, *at)).is_some()).count()
        });
        let alarms: usize = alarms.sum();
        assert!(alarms <= 15, "at {rate}: {alarms} in 300,000");
    }
    for rate in [0.05_f64, 0.1, 0.2] {
        let worse = (rate + 3.0 * (rate * (1.0 - rate)).sqrt()).min(1.0);
        for seed in 0..200 {
            let (mut dice, mut failures) = (fastrand::Rng::with_seed(seed), Rate::default());
            assert!((0..300).all(|at| failures.take(dice.f64() < rate, at).is_none()), "a false alarm at {rate}");
            let found = (300..330).find_map(|at| raised(failures.take(dice.f64() < worse, at)));
            let Some(episode) = found else { panic!("{rate} to {worse}, seed {seed}: not found") };
            assert!(episode.value > episode.expected + 0.1, "{episode:?}");
            let ended = (0..100).find_map(|_| failures.take(dice.f64() < rate, 400));
            assert!(matches!(ended, Some(Change::Ended(_))), "{rate}, seed {seed}: {ended:?}");
        }
    }
}

#[test]
fn what_goes_on_for_long_is_the_usual_then() {
    let mut level = Level::default();
    (0..100).for_each(|at| assert_eq!(level.take(100.0, 10.0, at), None));
    let changes: Vec<Change> = (100..2_100).filter_map(|at| level.take(900.0, 10.0, at)).collect();
    assert!(matches!(changes[..], [Change::Raised(_), Change::Usual(_)]), "{changes:?}");
    let mut failures = Rate::default();
    (0..100).for_each(|at| assert_eq!(failures.take(false, at), None));
    let changes: Vec<Change> = (100..3_100).filter_map(|at| failures.take(at % 2 == 0, at)).collect();
    assert!(matches!(changes[..], [Change::Raised(_), Change::Usual(_)]), "{changes:?}");
}

#[test]
fn an_agent_falls_silent_and_is_heard_again() {
    let mut silence = Silence::default();
    let mut changes = vec![];
    let (mut heard, mut now) = (0, 0);
    for second in 0..400 {
        now = 1_000_000 + second * 1_000;
        if second % 10 == 0 && !(200..300).contains(&second) {
            heard = now;
        }
        changes.extend(silence.listen(heard, now, 30_000));
    }
    let [Change::Raised(raised), Change::Ended(ended)] = changes[..] else { panic!("{changes:?}") };
    assert_eq!((raised.kind, raised.since), (Kind::Silence, 1_190_000));
    assert!(
        (40_000.0..60_000.0).contains(&raised.value) && (9_900.0..10_100.0).contains(&raised.expected),
        "{raised:?}"
    );
    assert_eq!((ended.value, silence.listen(heard, now, 30_000)), (110_000.0, None));
}

#[test]
fn heartbeats_that_come_as_they_like_are_no_silence() {
    let (mut dice, mut silence) = (fastrand::Rng::with_seed(3), Silence::default());
    let mut at = 1_000_000;
    for _ in 0..20_000 {
        #[allow(clippy::cast_possible_truncation, reason = "some seconds")]
        let interval = (-(1.0 - dice.f64()).ln() * 5_000.0) as i64;
        for step in 0..=(interval / 500) {
            assert_eq!(silence.listen(at, at + step * 500, 1_000), None);
        }
        at += interval;
    }
}

#[test]
fn an_agent_is_watched_in_all_it_does_and_told_of_in_words() {
    let mut agent = Anomalies::default();
    let mut dice = fastrand::Rng::with_seed(1);
    let mut take = |class, latency_ms, output_bytes, cost_micros, at| {
        let seen = Observation {
            class,
            latency_ms,
            tokens: 0,
            cost_micros,
            output_bytes,
            quality: None,
            capability: None,
            task_type: None,
            prediction: None,
            at,
        };
        agent.take(&seen)
    };
    for at in 0..300 {
        assert_eq!(take(OutcomeClass::Succeeded, dice.i64(90..110), dice.i64(900..1_100), 500, at), []);
        assert_eq!(take(OutcomeClass::RateLimited, 1, 0, 0, at), [], "load is watched elsewhere");
    }
    let mut notices: Vec<Notice> =
        (300..330).flat_map(|at| take(OutcomeClass::Succeeded, 1_000, 10, 5_000, at)).collect();
    notices.extend((330..350).flat_map(|at| take(OutcomeClass::Timeout, 60_000, 0, 0, at)));
    let metrics: Vec<Metric> = notices.iter().map(|notice| notice.metric).collect();
    assert_eq!(metrics, [Metric::Latency, Metric::OutputSize, Metric::Cost, Metric::Failures], "{notices:#?}");
    assert!(notices.iter().all(|notice| notice.raised && notice.episode.kind == Kind::Jump), "{notices:#?}");
    let (latency, words) = (notices[0].episode, &notices[0].message);
    assert!(latency.value > 300.0 && (95.0..105.0).contains(&latency.expected), "{latency:?}");
    assert!(words.starts_with("latency jumped to ") && words.contains(" ms in "), "{words}");
    assert!(notices[3].message.starts_with("the rate of failures jumped to "), "{}", notices[3].message);
    assert_eq!(agent.active().count(), 4);
    assert_eq!(agent.forget(400).len(), 4);
    assert_eq!(agent, Anomalies::default());
}

proptest::proptest! {
    #[test]
    fn whatever_comes_the_numbers_stay_numbers(
        values in proptest::collection::vec((proptest::num::f64::ANY, proptest::bool::ANY, 0..100_000_i64), 0..300),
    ) {
        let (mut level, mut rate, mut silence, mut now) = (Level::default(), Rate::default(), Silence::default(), 1);
        for (value, failed, step) in values {
            now += step;
            for change in [level.take(value, 10.0, now), rate.take(failed, now), silence.listen(now - step / 2, now, 10)] {
                let Some(Change::Raised(one) | Change::Ended(one) | Change::Usual(one)) = change else { continue };
                let numbers = [one.value, one.expected, one.deviation, one.threshold];
                proptest::prop_assert!(numbers.iter().all(|number| number.is_finite()), "{one:?}");
            }
            proptest::prop_assert!(level.usual.is_finite() && level.variance.is_finite() && level.variance >= 0.0);
        }
    }
}
