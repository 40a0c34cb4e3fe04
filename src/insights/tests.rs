use super::*;
use crate::contract::OutcomeClass;

fn seen(class: OutcomeClass, at: i64) -> Observation {
    Observation {
        class,
        latency_ms: 100,
        tokens: 0,
        cost_micros: 0,
        output_bytes: 10,
        quality: None,
        capability: Some("sum".to_owned()),
        task_type: None,
        prediction: None,
        at,
    }
}

/// An agent under chance: an outcome each second, and what became of it.
struct Run {
    agent: AgentState,
    rules: Rules,
    dice: fastrand::Rng,
    now: i64,
    conditions: u32,
    openings: u32,
}

impl Run {
    fn new(seed: u64) -> Self {
        let agent = AgentState::default();
        Self {
            agent,
            rules: Rules::default(),
            dice: fastrand::Rng::with_seed(seed),
            now: 1_000_000,
            conditions: 0,
            openings: 0,
        }
    }

    /// One outcome that succeeds with this probability; none while the breaker is open.
    fn outcome(&mut self, rate: f64) {
        self.now += 1_000;
        let before = self.agent.condition;
        self.agent.tick(self.now, &self.rules);
        if !matches!(self.agent.breaker.phase, Phase::Open { .. }) {
            let class = if self.dice.f64() < rate { OutcomeClass::Succeeded } else { OutcomeClass::Transient };
            let changed = self.agent.take(&seen(class, self.now), self.now, &self.rules);
            self.openings += u32::from(changed && matches!(self.agent.breaker.phase, Phase::Open { .. }));
            self.agent.tick(self.now, &self.rules);
        }
        self.conditions += u32::from(self.agent.condition != before);
    }
}

#[test]
fn a_fall_from_95_to_60_percent_is_seen_within_50_outcomes() {
    let missed = (0..1_000).filter(|seed| {
        let mut run = Run::new(*seed);
        (0..300).for_each(|_| run.outcome(0.95));
        !(0..50).any(|_| {
            run.outcome(0.6);
            run.agent.condition != Condition::Healthy
        })
    });
    let missed = missed.count();
    assert!(missed <= 5, "{missed} of 1,000 agents were not seen to fall");
}

#[test]
fn an_agent_that_stays_as_it_is_does_not_flap() {
    for (rate, conditions, openings) in [(0.99, 1, 0), (0.95, 5, 0), (0.9, 120, 1), (0.7, 40, 20), (0.6, 250, 120)] {
        let mut run = Run::new(11);
        (0..10_000).for_each(|_| run.outcome(rate));
        assert!(run.conditions <= conditions, "at {rate} it changed {} times", run.conditions);
        assert!(run.openings <= openings, "at {rate} its breaker opened {} times", run.openings);
    }
}

#[test]
fn an_agent_that_fails_all_its_work_is_tried_less_and_less_and_is_back_soon_once_it_works() {
    let mut run = Run::new(1);
    (0..100).for_each(|_| run.outcome(1.0));
    let mut given = 0;
    for _ in 0..3_600 {
        let open = matches!(run.agent.breaker.phase, Phase::Open { .. });
        run.outcome(0.0);
        given += u32::from(!open);
    }
    assert!(given < 30, "in an hour it got {given} assignments");
    let outcomes = (0..2_000).position(|_| {
        run.outcome(1.0);
        run.agent.breaker.phase == Phase::Closed
    });
    assert!(outcomes.is_some_and(|seconds| seconds <= 605), "closed after {outcomes:?} s: the longest wait is 600 s");
    (0..60).for_each(|_| run.outcome(1.0));
    assert_eq!((run.agent.condition, run.agent.breaker.openings), (Condition::Healthy, 0));
}

#[test]
fn what_is_not_the_agents_fault_changes_neither_its_rate_nor_its_breaker() {
    let mut run = Run::new(1);
    (0..100).for_each(|_| run.outcome(1.0));
    let before = run.agent.overall.success;
    for class in [OutcomeClass::Cancelled, OutcomeClass::Contract, OutcomeClass::Declined, OutcomeClass::Withdrawn] {
        for _ in 0..50 {
            assert!(!run.agent.take(&seen(class, run.now), run.now, &run.rules));
        }
    }
    assert_eq!(run.agent.overall.success, before);
    assert_eq!(run.agent.breaker.phase, Phase::Closed);
    for _ in 0..20 {
        assert!(!run.agent.take(&seen(OutcomeClass::RateLimited, run.now), run.now, &run.rules));
    }
    run.agent.tick(run.now, &run.rules);
    assert_eq!((run.agent.condition, run.agent.overall.success), (Condition::Degraded, before));
    assert!(run.agent.reason.contains("for load"), "{}", run.agent.reason);
}

#[test]
fn a_full_queue_is_no_failure_and_silence_is() {
    let mut run = Run::new(1);
    for _ in 0..50 {
        assert!(!run.agent.take(&seen(OutcomeClass::NotAccepted, run.now), run.now, &run.rules), "it works meanwhile");
        run.agent.take(&seen(OutcomeClass::Succeeded, run.now), run.now, &run.rules);
    }
    let opened = (0..6).position(|_| run.agent.take(&seen(OutcomeClass::NotAccepted, run.now), run.now, &run.rules));
    assert_eq!(opened, Some(5));
    assert_eq!(run.agent.breaker.reason, "nobody took the last 6 assignments");
}

#[test]
fn a_half_open_breaker_hears_probes_only_and_each_partition_has_its_turn() {
    let mut run = Run::new(1);
    let rules = run.rules;
    let opened = (0..6).filter(|_| run.agent.take(&seen(OutcomeClass::Timeout, run.now), run.now, &rules));
    assert_eq!(opened.count(), 1);
    let Phase::Open { until } = run.agent.breaker.phase else { panic!("{:?}", run.agent.breaker) };
    assert_eq!(until, run.now + rules.breaker.first_wait);
    assert!(!run.agent.tick(until - 1, &rules));
    assert!(run.agent.tick(until, &rules));
    let before = seen(OutcomeClass::Transient, until + 50);
    assert!(!run.agent.take(&before, until + 50, &rules), "it was assigned before: {:?}", run.agent.breaker);
    assert!(!run.agent.tick(until + 4_999, &rules));
    assert!(run.agent.tick(until + 5_000, &rules), "the next partition's turn");
    assert_eq!(run.agent.breaker.turn, 1);
    assert!(!run.agent.take(&seen(OutcomeClass::Succeeded, until + 6_000), until + 6_000, &rules));
    assert!(run.agent.take(&seen(OutcomeClass::Transient, until + 6_000), until + 6_000, &rules));
    let Phase::Open { until: second } = run.agent.breaker.phase else { panic!("{:?}", run.agent.breaker) };
    assert_eq!(second, until + 6_000 + 2 * rules.breaker.first_wait);
}

#[test]
fn instances_fall_silent_go_and_come_back() {
    let heartbeat = |name: &str, at| Instance { name: name.to_owned(), at, capacity: 2, ..Instance::default() };
    let mut agent = AgentState::default();
    let rules = Rules::default();
    let mut look = |heard: Vec<Instance>, now| {
        agent.instances.look(heard, now, rules.stale_after, rules.gone_after);
        agent.tick(now, &rules);
        (agent.condition, agent.reason.clone(), agent.hands().1)
    };
    assert_eq!(look(vec![], 1_000).0, Condition::Healthy, "it never sent one");
    assert_eq!(look(vec![heartbeat("a", 1_000), heartbeat("b", 20_000)], 21_000).2, Some(4));
    assert_eq!(look(vec![], 32_000), (Condition::Degraded, "1 of 2 instances are silent".to_owned(), Some(2)));
    assert_eq!(look(vec![], 51_000), (Condition::Unhealthy, "no heartbeat for 30 s".to_owned(), None));
    let gone = look(vec![], 200_000);
    assert_eq!((gone.0, gone.1.as_str()), (Condition::Absent, "no heartbeat for 90 s; the last was of \"b\""));
    assert_eq!(look(vec![heartbeat("c", 200_500)], 201_000).2, Some(2), "the others are forgotten");
}

#[test]
fn slower_than_usual_shows_and_costs_score() {
    let mut run = Run::new(1);
    (0..300).for_each(|_| run.outcome(1.0));
    let usual = run.agent.score();
    for _ in 0..30 {
        let slow = Observation { latency_ms: 1_000, ..seen(OutcomeClass::Succeeded, run.now) };
        run.agent.take(&slow, run.now, &run.rules);
    }
    run.agent.tick(run.now, &run.rules);
    assert_eq!(run.agent.condition, Condition::Degraded);
    assert!(run.agent.reason.contains("times as long as usual"), "{}", run.agent.reason);
    assert!(run.agent.score() < usual * 0.6);
}

#[test]
fn kinds_are_bounded_and_the_one_longest_idle_goes_first() {
    let mut agent = AgentState::default();
    let rules = Rules { kinds: 3, ..Rules::default() };
    for (at, name) in ["a", "b", "a", "c", "d"].into_iter().enumerate() {
        let at = 1_000 + i64::try_from(at).expect("few");
        let one = Observation { task_type: Some(name.to_owned()), ..seen(OutcomeClass::Succeeded, at) };
        agent.take(&one, at, &rules);
    }
    assert_eq!(agent.task_types.keys().collect::<Vec<_>>(), ["a", "c", "d"]);
    assert_eq!((agent.overall.total(), agent.capabilities["sum"].total()), (5, 5));
}

proptest::proptest! {
    #[test]
    fn whatever_happens_the_numbers_stay_numbers(
        all in proptest::collection::vec((0..14_usize, -5_i64..10_000_000, -5_i64..1_000, 0..100_000_i64), 0..400),
    ) {
        const CLASSES: [OutcomeClass; 14] = [
            OutcomeClass::Succeeded, OutcomeClass::Transient, OutcomeClass::RateLimited, OutcomeClass::Timeout,
            OutcomeClass::InvalidOutput, OutcomeClass::Contract, OutcomeClass::Auth, OutcomeClass::Permanent,
            OutcomeClass::Cancelled, OutcomeClass::NotAccepted, OutcomeClass::Declined, OutcomeClass::InputRequired,
            OutcomeClass::Withdrawn, OutcomeClass::Unknown,
        ];
        let (mut agent, rules, mut now) = (AgentState::default(), Rules::default(), 1_i64);
        for (class, latency_ms, tokens, step) in all {
            now += step;
            let one = Observation { latency_ms, tokens, ..seen(CLASSES[class], now) };
            agent.take(&one, now, &rules);
            agent.tick(now, &rules);
            proptest::prop_assert!((0.0..=1.0).contains(&agent.score()), "{:?}", agent.parts());
            proptest::prop_assert!((0.0..=1.0).contains(&agent.overall.success.mean()));
            proptest::prop_assert!(!agent.reason.is_empty());
            if let Phase::Open { until } = agent.breaker.phase {
                proptest::prop_assert!(until - now <= rules.breaker.longest_wait);
            }
        }
    }
}
