use super::*;

/// A standard normal value.
fn normal(dice: &mut fastrand::Rng) -> f64 {
    (-2.0 * (1.0 - dice.f64()).ln()).sqrt() * (std::f64::consts::TAU * dice.f64()).cos()
}

/// What an arm gives at a time, the variant differing by `effect` where there is one.
type Law = fn(dice: &mut fastrand::Rng, time: u32, effect: f64) -> f64;

/// Share of the variant, and what both arms give: rates of success, the second far from even shares and rates, one
/// that falls for both; logarithms of latencies; costs with a long tail.
const LAWS: [(&str, f64, Law); 5] = [
    ("nine of ten succeed", 0.5, |dice, _, effect| f64::from(dice.f64() < 0.9 + effect)),
    ("a small arm, failures rare", 0.1, |dice, _, effect| f64::from(dice.f64() < 0.95 + effect)),
    ("it gets worse for all", 0.5, |dice, time, effect| f64::from(dice.f64() < 0.95 - f64::from(time) / 3e3 + effect)),
    ("latency", 0.5, |dice, _, effect| 5.0 + 0.6 * normal(dice) + effect),
    ("cost", 0.3, |dice, _, effect| (6.0 + normal(dice)).exp() + effect),
];

/// The first outcome after which `says` holds.
fn first(
    seed: u64,
    (share, law, effect): (f64, Law, f64),
    outcomes: u32,
    says: impl Fn(&Difference) -> bool,
) -> Option<u32> {
    let (mut dice, mut difference) = (fastrand::Rng::with_seed(seed), Difference::new(share));
    (0..outcomes).find(|time| {
        let (arm, effect) = if dice.f64() < share { (Arm::Variant, effect) } else { (Arm::Control, 0.0) };
        difference.take(arm, law(&mut dice, *time, effect));
        says(&difference)
    })
}

#[test]
fn of_2_000_experiments_without_a_difference_read_after_every_outcome_at_most_5_percent_show_one() {
    for (name, share, law) in LAWS {
        let found = |seed: &u64| first(*seed, (share, law, 0.0), 500, |seen| seen.p_value() < 0.05).is_some();
        let wrong = (0..2_000).filter(found).count();
        assert!(wrong <= 100, "{name}: {wrong} of 2,000");
    }
}

#[test]
fn a_difference_is_found_and_lies_in_the_interval() {
    for ((name, share, law), (effect, within)) in
        LAWS.into_iter().zip([(-0.1, 1_500), (-0.15, 3_000), (-0.15, 1_200), (0.2, 1_000), (300.0, 2_500)])
    {
        let found = (0..100).filter(|seed| {
            first(*seed, (share, law, effect), within, |seen| {
                seen.p_value() < 0.05 && seen.estimate().signum() == effect.signum()
            })
            .is_some()
        });
        let found = found.count();
        assert!(found >= 90, "{name}: {found} of 100 within {within} outcomes");
        let misses =
            |seen: &Difference| seen.interval(0.05).is_some_and(|(least, most)| effect < least || effect > most);
        let missed = (0..200).filter(|seed| first(*seed, (share, law, effect), 500, misses).is_some()).count();
        assert!(missed <= 10, "{name}: not in the interval in {missed} of 200");
    }
}

#[test]
fn p_value_and_interval_say_the_same() {
    let (mut dice, mut seen) = (fastrand::Rng::with_seed(4), Difference::new(0.4));
    for _ in 0..2_000 {
        let (arm, rate) = if dice.f64() < 0.4 { (Arm::Variant, 0.8) } else { (Arm::Control, 0.9) };
        seen.take(arm, f64::from(dice.f64() < rate));
        seen.take(arm, f64::NAN);
        let excludes = |level| seen.interval(level).is_some_and(|(least, most)| least > 0.0 || most < 0.0);
        for level in [0.001, 0.01, 0.05, 0.2] {
            assert_eq!(excludes(level), seen.p_value() < level, "{seen:?}");
        }
    }
    assert_eq!(seen.counts().iter().sum::<u32>(), 2_000);
    assert!((seen.means()[1] - seen.means()[0] - seen.estimate()).abs() < 0.02, "{seen:?}");
    assert_eq!((Difference::new(0.5).interval(0.05), Difference::new(0.5).p_value()), (None, 1.0));
}

#[test]
fn a_variant_that_is_clearly_worse_is_stopped_and_one_that_is_not_goes_on() {
    let failures = Guardrail { better: Better::Higher, tolerated: 0.02, level: 0.01 };
    let slowness = Guardrail { better: Better::Lower, tolerated: 0.1_f64.ln_1p(), level: 0.01 };
    let [success, _, _, latency, _] = LAWS;
    for ((_, share, law), guardrail, worse, still_fine) in
        [(success, failures, -0.3, -0.02), (latency, slowness, 0.5, 0.1_f64.ln_1p())]
    {
        let broken = |effect, outcomes| {
            let stopped =
                |seed: &u64| first(*seed, (share, law, effect), outcomes, |seen| guardrail.is_broken(seen)).is_some();
            (0..500).filter(stopped).count()
        };
        assert!(broken(worse, 500) >= 475, "{guardrail:?}");
        assert!(broken(still_fine, 500) <= 10, "{guardrail:?}");
        assert_eq!(broken(-worse, 500), 0, "what is better is never stopped");
    }
}

#[test]
fn arms_that_always_give_the_same_differ_if_they_give_another() {
    let mut seen = Difference::new(0.5);
    for number in 0..80_u32 {
        let (arm, value) = if number % 2 == 0 { (Arm::Control, 1.0) } else { (Arm::Variant, 0.0) };
        seen.take(arm, value);
    }
    let guardrail = Guardrail { better: Better::Higher, tolerated: 0.05, level: 0.01 };
    assert!(guardrail.is_broken(&seen) && seen.p_value() < 0.001, "{:?}", seen.interval(0.02));
    let mut alike = Difference::new(0.5);
    (0..80).for_each(|number| alike.take([Arm::Control, Arm::Variant][number % 2], 1.0));
    assert_eq!((alike.interval(0.05), alike.p_value()), (None, 1.0));
}

#[test]
fn wrong_shares_are_found_and_right_ones_are_not() {
    for wanted in [[0.5, 0.5], [0.9, 0.1]] {
        let contradicted = |seed, variant: f64, tasks: u32| {
            let (mut dice, mut shares) = (fastrand::Rng::with_seed(seed), Shares::new(&wanted));
            (0..tasks).for_each(|_| shares.take(usize::from(dice.f64() < variant)));
            shares.p_value() < 0.01
        };
        let wrong = (0..2_000).filter(|seed| contradicted(*seed, wanted[1], 1_000)).count();
        assert!(wrong <= 20, "{wanted:?}: {wrong} of 2,000");
        let found = (0..50).filter(|seed| contradicted(*seed, 0.75 * wanted[1], 6_000)).count();
        assert!(found >= 48, "{wanted:?}: {found} of 50");
    }
    let mut shares = Shares::new(&[1.0, 1.0, 2.0]);
    (0..400).for_each(|n| shares.take([0, 2, 1, 2, 7][n % 5]));
    assert_eq!((shares.counts(), shares.p_value()), (&[80, 80, 160][..], 1.0));
}

/// Three agents that succeed in 95, 70 and 40 of 100 tasks, drawn by `logged`; what the strategy `wanted` would come to.
fn replayed(seed: u64, logged: [f64; 3], wanted: [f64; 3], decisions: u32) -> Replay {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut replay = Replay::default();
    for _ in 0..decisions {
        let drawn = dice.f64();
        let agent = if drawn < logged[0] { 0 } else { 1 + usize::from(drawn >= logged[0] + logged[1]) };
        let value = f64::from(dice.f64() < [0.95, 0.7, 0.4][agent]);
        replay.take(logged[agent], wanted[agent], value).expect("these are probabilities");
    }
    replay
}

#[test]
fn another_strategy_is_judged_by_decisions_it_did_not_make() {
    let (logged, wanted) = ([0.2, 0.3, 0.5], [0.9, 0.1, 0.0]);
    let truth = 0.9 * 0.95 + 0.1 * 0.7;
    let within = (0..400).filter(|seed| {
        let estimate = replayed(*seed, logged, wanted, 5_000).estimate().expect("some could be its own");
        assert!((0.8..1.2).contains(&estimate.covered) && estimate.effective < 5_000.0, "{estimate:?}");
        (estimate.interval.0..=estimate.interval.1).contains(&truth)
    });
    let within = within.count();
    assert!((370..=400).contains(&within), "the truth is in {within} of 400 intervals, not in 380");
}

#[test]
fn what_was_never_tried_shows_and_nonsense_does_not_count() {
    let estimate = replayed(1, [0.0, 0.5, 0.5], [0.9, 0.1, 0.0], 500).estimate().expect("a tenth could be its own");
    assert!(estimate.covered < 0.2, "{estimate:?}");
    assert_eq!(replayed(1, [0.0, 0.0, 1.0], [1.0, 0.0, 0.0], 500).estimate(), None);
    let mut replay = Replay::default();
    assert_eq!(replay.take(0.0, 0.5, 1.0), Err(Unusable::Propensity));
    assert_eq!(replay.take(1.5, 0.5, 1.0), Err(Unusable::Propensity));
    assert_eq!(replay.take(0.5, f64::NAN, 1.0), Err(Unusable::Probability));
    assert_eq!(replay.take(0.5, 0.5, f64::INFINITY), Err(Unusable::Outcome));
    assert_eq!(replay, Replay::default());
    replay.take(0.001, 1.0, 1.0).expect("it is a rare choice");
    assert_eq!(replay.estimate().map(|estimate| estimate.capped), Some(1.0));
}
