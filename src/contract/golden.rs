//! Bytes kept in the repository, written by another Avro implementation (fastavro): what was written by an
//! earlier version, or by a later one, must always be read. `v1` is a record of each kind with its schema of
//! version 1; `newer` has one field more in every record and one symbol more in every enum, and uses them.
//!
//! When a schema changes, keep its directory as it is and add `v2.avsc`: every version kept is checked.

use super::schema::{AvroReader, BodyFault};
use super::*;
use apache_avro::Schema;
use apache_avro::schema_compatibility::SchemaCompatibility;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::path::PathBuf;

const T: i64 = 1_700_000_000_123;

fn directory(kind: RecordKind) -> PathBuf {
    let mut name = String::new();
    for c in kind.name().chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(c.to_ascii_lowercase());
    }
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden")).join(name)
}

fn read_golden<R: WireRecord>(version: &str) -> (R, Vec<u8>) {
    let at = directory(R::KIND).join(version);
    let schema = std::fs::read_to_string(at.with_extension("avsc")).unwrap();
    let bytes = std::fs::read(at.with_extension("bin")).unwrap();
    let record = AvroReader::parse(&schema).unwrap().read(&bytes);
    (record.unwrap_or_else(|fault| panic!("{} {version}: {fault:?}", R::KIND)), bytes)
}

/// `sample` is what `v1` holds, `later` what this build makes of `newer`.
fn check<R: WireRecord + PartialEq + Debug>(sample: &R, later: &R) {
    check_written("v1", sample);
    assert_eq!(&read_golden::<R>("newer").0, later);
}

/// `sample` is what the version holds, which is the one that this build writes.
fn check_written<R: WireRecord + PartialEq + Debug>(version: &str, sample: &R) {
    let (read, bytes) = read_golden::<R>(version);
    assert_eq!(&read, sample);
    assert_eq!(wire::encode(1, sample)[5..], bytes, "{} is written otherwise than kept", R::KIND);
}

fn limits() -> Limits {
    Limits { max_hops: Some(3), max_attempts: Some(4), max_tokens: Some(5), max_cost_micros: Some(6) }
}

fn task() -> TaskSubmitted {
    TaskSubmitted {
        task_id: "t-1".into(),
        kind: Some("report".into()),
        objective: "Sum it up".into(),
        input: Some("{\"a\":1}".into()),
        input_contract: Some("numbers".into()),
        priority: 7,
        deadline: Some(T + 1),
        not_before: Some(T + 2),
        plan: Some(vec![PlannedStep {
            step_id: "s.1".into(),
            objective: "Add".into(),
            depends_on: vec!["s.0".into()],
            agent_name: Some("adder".into()),
            capability: Some("sum".into()),
            input: Some("1".into()),
            input_contract: Some("n".into()),
            output_contract: Some("m".into()),
            require_approval: true,
            timeout_ms: Some(5000),
            max_attempts: Some(2),
        }]),
        mode: Mode::Route,
        agents: vec!["adder".into()],
        on_step_failure: OnStepFailure::Continue,
        require_approval: true,
        explore: false,
        labels: [("team".to_owned(), "a".to_owned())].into(),
        limits: Some(limits()),
        correlation_id: Some("c".into()),
        parent_task_id: Some("p".into()),
        submitted_by: Some("me".into()),
        submitted_at: Some(T),
    }
}

fn usage() -> Usage {
    Usage { input_tokens: 11, output_tokens: 12, cost_micros: 13 }
}

#[test]
fn tasks_of_other_versions_are_read() {
    let later = TaskSubmitted { mode: Mode::Unknown, on_step_failure: OnStepFailure::Unknown, ..task() };
    check(&task(), &later);
}

#[test]
fn definitions_of_other_versions_are_read() {
    let format = |format: &str, contract: &str| Format { format: format.into(), contract: contract.into() };
    let sample = AgentDefinition {
        capabilities: vec!["sum".into()],
        input: format("application/json", "numbers"),
        output: format("text/plain", "total"),
        performance: Performance {
            average_latency: "200ms".into(),
            success_rate: "98%".into(),
            specialization: vec!["maths".into()],
        },
        version: "2.1.0".into(),
        examples: vec![Example { text: "1+1".into(), capability: Some("sum".into()) }],
        endpoint: Some("http://a/".into()),
        max_concurrency: Some(4),
        cost_micros_per_task: Some(9),
        idempotent: false,
        require_approval: true,
        owner: Some("me".into()),
        labels: [("team".to_owned(), "a".to_owned())].into(),
        ..AgentDefinition::new("Adder", "Adds.")
    };
    check(&sample, &sample);
}

#[test]
fn heartbeats_of_other_versions_are_read() {
    let sample = AgentHeartbeat {
        agent_name: "Adder".into(),
        instance: "i-1".into(),
        version: "2.1.0".into(),
        in_flight: 3,
        capacity: 4,
        time: T,
    };
    check(&sample, &sample);
}

#[test]
fn assignments_of_other_versions_are_read() {
    let sample = Assignment {
        assignment_id: "t-1~0-7~1~1".into(),
        task_id: "t-1".into(),
        step_id: "1".into(),
        agent_name: "Adder".into(),
        agent_version: "2.1.0".into(),
        attempt: 1,
        effect_key: "t-1~0-7~1".into(),
        objective: "Sum it up".into(),
        input: Some("{\"a\":1}".into()),
        context: vec![ContextItem { step_id: "0".into(), agent_name: "Reader".into(), output: "1".into() }],
        output_contract: Some("total".into()),
        priority: 7,
        attempt_deadline: Some(T + 1),
        task_deadline: Some(T + 2),
        feedback: Some("too short".into()),
        report_url: Some("http://b/".into()),
    };
    check(&sample, &sample);
}

#[test]
fn reports_of_other_versions_are_read() {
    let sample = |status, class| AgentReport {
        instance: Some("i-1".into()),
        output: Some("2".into()),
        progress: Some(0.5),
        message: Some("oh".into()),
        error: Some(ReportError {
            class,
            code: Some("E1".into()),
            message: "no key".into(),
            retry_after_ms: Some(100),
        }),
        usage: Some(usage()),
        time: Some(T),
        ..AgentReport::new("t-1", "t-1~0-7~1~1", "Adder", status)
    };
    check(&sample(ReportStatus::Failed, ErrorClass::Auth), &sample(ReportStatus::Unknown, ErrorClass::Unknown));
}

#[test]
fn commands_of_other_versions_are_read() {
    let sample = |command| TaskCommand {
        command_id: Some("c-1".into()),
        step_id: Some("1".into()),
        agent_name: Some("Adder".into()),
        value: Some("{\"a\":1}".into()),
        actor: Some("me".into()),
        reason: Some("r".into()),
        ..TaskCommand::new("t-1", command)
    };
    check(&sample(CommandType::Reassign), &sample(CommandType::Unknown));
}

#[test]
fn decisions_of_other_versions_are_read() {
    let sample = RoutingDecision {
        decision_id: "t-1~0-7~q1".into(),
        task_id: "t-1".into(),
        step_id: Some("1".into()),
        question: 1,
        choice: Choice::Agent,
        chosen: Some("Adder".into()),
        by: SettledBy::Llm,
        confidence: Some(0.75),
        reason: "It adds.".into(),
        candidates: vec![Candidate {
            agent_name: "Adder".into(),
            version: "2.1.0".into(),
            score: Some(0.5),
            factors: [("text".into(), 0.25)].into(),
            excluded: Some("busy".into()),
        }],
        degraded: true,
        degraded_reason: Some("low_confidence".into()),
        strategy: "default".into(),
        variant: Some("b".into()),
        propensity: Some(0.125),
        local_choice: None,
        local_confidence: None,
        prompt_version: Some("p1".into()),
        attempts: vec![Attempt {
            provider: "x".into(),
            model: "m".into(),
            answer: "{}".into(),
            verdict: "valid".into(),
            millis: 21,
            input_tokens: 22,
            output_tokens: 23,
        }],
        overhead_micros: 24,
        decided_at: T,
    };
    let later = RoutingDecision { choice: Choice::Unknown, by: SettledBy::Unknown, ..sample.clone() };
    assert_eq!((&read_golden("v1").0, &read_golden("newer").0), (&sample, &later));
    let (local_choice, local_confidence) = (Some("Zed".to_owned()), Some(0.5));
    check_written("v2", &RoutingDecision { local_choice, local_confidence, ..sample });
}

#[test]
fn events_of_other_versions_are_read() {
    let sample = |kind| TaskEvents {
        task_id: "t-1".into(),
        first_sequence: 4,
        at: T,
        facts: vec![Fact {
            kind,
            step_id: Some("1".into()),
            assignment_id: Some("t-1~0-7~1~1".into()),
            agent_name: Some("Adder".into()),
            decision_id: Some("d".into()),
            attempt: Some(1),
            actor: Some("me".into()),
            reason: Some("r".into()),
            detail: Some("{}".into()),
        }],
    };
    check(&sample(FactType::StepAssigned), &sample(FactType::Unknown));
}

#[test]
fn completions_of_other_versions_are_read() {
    let sample = |outcome, status| Completion {
        task_id: "t-1".into(),
        run: 2,
        outcome,
        reason: "budget_hops".into(),
        message: "Too many.".into(),
        result: Some("2".into()),
        steps: vec![CompletedStep {
            step_id: "1".into(),
            agent_name: "Adder".into(),
            status,
            attempts: 2,
            duration_ms: 31,
        }],
        hops: 3,
        usage: usage(),
        correlation_id: Some("c".into()),
        submitted_at: Some(T - 1),
        completed_at: T,
    };
    check(&sample(Outcome::Partial, StepStatus::Succeeded), &sample(Outcome::Unknown, StepStatus::Unknown));
}

#[test]
fn cancellations_of_other_versions_are_read() {
    let sample = Cancellation {
        task_id: "t-1".into(),
        assignment_id: "t-1~0-7~1~1".into(),
        step_id: "1".into(),
        agent_name: "Adder".into(),
        reason: "assignment_timeout".into(),
        at: T,
    };
    check(&sample, &sample);
}

#[test]
fn outcomes_of_other_versions_are_read() {
    let sample = |outcome| AgentOutcome {
        agent_name: "Adder".into(),
        version: "2.1.0".into(),
        capability: Some("sum".into()),
        task_type: Some("report".into()),
        assignment_id: "t-1~0-7~1~1".into(),
        outcome,
        reason: "inactivity_timeout".into(),
        latency_ms: 1_500,
        usage: usage(),
        output_bytes: 17,
        quality: Some(0.75),
        at: T,
        text: None,
        source: None,
        definition: None,
        predicted_success: None,
        predicted_latency_ms: None,
        predicted_latency_low_ms: None,
        predicted_latency_high_ms: None,
    };
    let first = sample(OutcomeClass::Timeout);
    assert_eq!((&read_golden("v1").0, &read_golden("newer").0), (&first, &sample(OutcomeClass::Unknown)));
    let second = AgentOutcome {
        text: Some("Sum it up".into()),
        source: Some("me".into()),
        definition: Some(-5),
        predicted_success: Some(0.75),
        predicted_latency_ms: Some(212),
        predicted_latency_low_ms: Some(100),
        predicted_latency_high_ms: Some(480),
        ..first
    };
    check_written("v2", &second);
}

#[test]
fn examples_of_other_versions_are_read() {
    let example = |text: &str, capability: Option<&str>, source: &str, at| ConfirmedExample {
        text: text.into(),
        capability: capability.map(Into::into),
        source: source.into(),
        at,
    };
    let sample = AgentExamples {
        agent_name: "Adder".into(),
        definition: -5,
        examples: vec![example("Sum it up", Some("sum"), "me", T - 1), example("Add", None, "", T - 2)],
        at: T,
    };
    check(&sample, &sample);
}

#[test]
fn health_of_other_versions_is_read() {
    let mean = |mean, weight| RunningMean { mean, weight };
    let statistics = AgentStatistics {
        counts: [("SUCCEEDED".to_owned(), 3), ("TIMEOUT".to_owned(), 1)].into(),
        success_rate: 0.66,
        successes: 2.5,
        failures: 0.75,
        p50_ms: Some(100.5),
        p90_ms: Some(200.5),
        p99_ms: Some(300.5),
        latencies: vec![LatencyBucket { index: 95, weight: 1.5 }, LatencyBucket { index: 117, weight: 0.5 }],
        tokens: mean(12.5, 3.25),
        cost_micros: mean(9.5, 3.0),
        output_bytes: mean(64.0, 2.0),
        quality: mean(0.5, 1.0),
        at: T,
    };
    let sample = |state, breaker, standing| AgentHealth {
        agent_name: "Adder".into(),
        version: "2.1.0".into(),
        state,
        reason: "the circuit breaker is open".into(),
        since: T - 5,
        breaker,
        breaker_detail: BreakerDetail {
            since: T - 5,
            until: Some(T + 5),
            reason: "6 failures in a row".into(),
            openings: 2,
            turn: 3,
            turned: T - 4,
            passed: 1,
            good: 1.5,
            bad: 6.5,
            seen: 8,
            failed: 6,
            failed_since: T - 6,
            unheard: 1,
        },
        score: 0.25,
        parts: [("breaker".to_owned(), 0.5), ("success".to_owned(), 0.5)].into(),
        overall: statistics.clone(),
        capabilities: [("sum".to_owned(), statistics.clone())].into(),
        task_types: [("report".to_owned(), statistics.clone())].into(),
        trend: AgentTrend {
            pace: mean(4.5, 2.0),
            usual_pace: mean(4.0, 9.0),
            load: mean(0.1, 3.0),
            failing: true,
            slow: true,
            loaded: true,
        },
        alerts: vec![],
        anomalies: AnomalyWatch::default(),
        instances: vec![AgentInstance {
            instance: "i-1".into(),
            version: "2.1.0".into(),
            standing,
            at: T - 1,
            in_flight: 3,
            capacity: 4,
        }],
        in_flight: Some(3),
        capacity: Some(4),
        prediction: AgentPrediction::default(),
        state_version: 2,
        at: T,
    };
    let first = sample(HealthState::Unhealthy, BreakerState::Open, InstanceStanding::Stale);
    let later = sample(HealthState::Unknown, BreakerState::Unknown, InstanceStanding::Unknown);
    assert_eq!((&read_golden("v1").0, &read_golden("newer").0), (&first, &later));

    let run = |sum, observations, since| EvidenceRun { sum, observations, total: 6.5, since };
    let alert = ActiveAlert {
        metric: AlertMetric::Latency,
        kind: AlertKind::Jump,
        since: T - 9,
        at: T - 8,
        value: 812.5,
        expected: 100.5,
        deviation: 7.5,
        threshold: 6.0,
        observations: 9,
    };
    let level = LevelWatch {
        metric: AlertMetric::Latency,
        seen: 70,
        usual: 4.5,
        variance: 0.25,
        resemblance: 0.125,
        last: 1.5,
        lately: 2.5,
        rise: run(3.5, 2, T - 7),
        fall: run(0.5, 1, T - 6),
        recovered: 1.25,
    };
    let failures = FailureWatch {
        seen: 80,
        failures: 4.5,
        outcomes: 75.5,
        jump: run(1.5, 3, T - 5),
        drift: run(2.5, 4, T - 4),
        recovered: 0.75,
    };
    let silence = SilenceWatch { heard: T - 3, seen: 12, usual: 9.25, variance: 0.5 };
    let anomalies = AnomalyWatch { levels: vec![level], failures: Some(failures), silence: Some(silence) };
    let second = AgentHealth { alerts: vec![alert], anomalies, ..first };
    assert_eq!(read_golden::<AgentHealth>("v2").0, second);

    let prediction = AgentPrediction { coverage: mean(0.875, 24.5), brier: mean(0.125, 28.5), at: T - 2 };
    let third = AgentHealth { prediction, ..second };
    let (read, bytes) = read_golden::<AgentHealth>("v3");
    assert_eq!(read, third);
    assert_eq!(wire::encode(1, &third)[5..], bytes, "it is written otherwise than kept");
}

#[test]
fn alerts_of_other_versions_are_read() {
    let sample = |metric, kind, state| Alert {
        alert_id: "adder~LATENCY~1700000000122".into(),
        agent_name: "Adder".into(),
        version: "2.1.0".into(),
        metric,
        kind,
        state,
        value: 812.5,
        expected: 100.5,
        deviation: 7.5,
        threshold: 6.0,
        observations: 9,
        since: T - 5,
        at: T,
        message: "as usual again".into(),
    };
    let later = sample(AlertMetric::Unknown, AlertKind::Unknown, AlertState::Unknown);
    check(&sample(AlertMetric::OutputSize, AlertKind::Drift, AlertState::Ended), &later);
}

#[test]
fn experiments_of_other_versions_are_read() {
    let sample = |metric, state| Experiment {
        name: "lead-cost".into(),
        description: "Is it cheaper?".into(),
        task_types: vec!["lead".into()],
        variants: vec![
            ExperimentVariant {
                name: "control".into(),
                strategy: "default".into(),
                share: 0.75,
                stopped_at: None,
                stopped_for: String::new(),
            },
            ExperimentVariant {
                name: "cheap".into(),
                strategy: "frugal".into(),
                share: 0.25,
                stopped_at: Some(T - 2),
                stopped_for: "success".into(),
            },
        ],
        metric,
        guardrails: vec![ExperimentGuardrail { metric, tolerated: 0.05 }],
        state,
        promoted: Some("cheap".into()),
        reason: "it is cheaper".into(),
        actor: "me".into(),
        started_at: T - 5,
        ended_at: Some(T - 1),
        at: T,
    };
    let later = sample(ExperimentMetric::Unknown, ExperimentState::Unknown);
    check(&sample(ExperimentMetric::Cost, ExperimentState::Promoted), &later);
}

#[test]
fn snapshots_of_other_versions_are_read() {
    let content_hash: Vec<u8> = (0..16).collect();
    let skeleton = |phase, status| Skeleton {
        accepted_partition: 5,
        accepted_offset: 7,
        content_hash: content_hash.clone(),
        phase,
        outcome: Some(Outcome::Expired),
        submitted_at: T + 9,
        deadline: T + 5,
        last_question: 2,
        last_fact: 9,
        last_at: T,
        used: Used { hops: 1, attempts: 2, input_tokens: 3, output_tokens: 4, cost_micros: 5 },
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
        choices: vec![OpenChoice {
            step_id: "2".into(),
            question: 2,
            set: vec!["Adder".into()],
            offers_done: true,
            tries: 1,
            deadline: Some(T + 1),
            refused: vec!["Reader".into()],
            busy: vec![],
        }],
        steps: vec![Step {
            step_id: "1".into(),
            status,
            agent_name: "Adder".into(),
            agent_version: "2.1.0".into(),
            attempt: 1,
            by_contract: true,
            declined_by: vec!["Reader".into()],
            assigned_at: Some(T + 1),
            accept_by: Some(T + 2),
            done_by: Some(T + 3),
            progress_at: Some(T + 4),
            ended_at: Some(T + 5),
            quiet_by: None,
            until: None,
            trouble: None,
            grounds: None,
        }],
        ended_at: None,
        run: 1,
        begins_at: None,
        unapproved: false,
        paused: false,
        planned: false,
        planning: None,
        replans: 0,
        commands: vec![],
        held: vec![],
    };
    let sample = |phase, status, task, outcome| Snapshot {
        skeleton: Some(skeleton(phase, status)),
        task: Some(task),
        payload: Some(StepPayload { input: Some("1".into()), output: Some("2".into()) }),
        receipt: Some(Receipt {
            content_hash: content_hash.clone(),
            outcome,
            ended_at: T,
            accepted_partition: 0,
            accepted_offset: 0,
            last_fact: 0,
        }),
        plan: None,
    };
    let later_task = TaskSubmitted { mode: Mode::Unknown, on_step_failure: OnStepFailure::Unknown, ..task() };
    let first = sample(Phase::Ended, StepStatus::Accepted, task(), Outcome::Succeeded);
    let later = sample(Phase::Unknown, StepStatus::Unknown, later_task, Outcome::Unknown);
    assert_eq!((&read_golden("v1").0, &read_golden("newer").0), (&first, &later));

    let mut second = first;
    let skeleton = second.skeleton.as_mut().expect("the sample has one");
    skeleton.ended_at = Some(T + 6);
    skeleton.run = 2;
    skeleton.begins_at = Some(T + 7);
    (skeleton.unapproved, skeleton.paused, skeleton.planned) = (true, true, true);
    let faults = vec!["plan: has no steps".to_owned()];
    skeleton.planning = Some(Planning { question: 3, tries: 2, faults, deadline: T + 8 });
    skeleton.replans = 1;
    skeleton.commands = vec!["c-1".into()];
    let command = TaskCommand { command_id: Some("c-2".into()), ..TaskCommand::new("t-1", CommandType::Pause) };
    skeleton.held = vec![HeldCommand { command, until: T + 9 }];
    skeleton.choices[0].busy = vec!["Adder".into()];
    skeleton.steps[0].quiet_by = Some(T + 10);
    skeleton.steps[0].until = Some(T + 11);
    skeleton.steps[0].trouble = Some(Trouble {
        failed_by: vec!["Reader".into()],
        failures: 1,
        next_named: Some("Adder".into()),
        next_again: Some("Reader".into()),
        feedback: Some("not JSON".into()),
        answer: Some("42".into()),
        approved: true,
    });
    let receipt = second.receipt.as_mut().expect("the sample has one");
    (receipt.accepted_partition, receipt.accepted_offset, receipt.last_fact) = (5, 7, 11);
    second.plan = task().plan;
    assert_eq!(read_golden::<Snapshot>("v2").0, second);

    let mut third = second;
    let skeleton = third.skeleton.as_mut().expect("the sample has one");
    skeleton.steps[0].grounds = Some(Grounds {
        success: 9_500,
        latency_low_ms: Some(100),
        latency_ms: Some(212),
        latency_high_ms: Some(480),
        teaches: Some(-5),
    });
    check_written("v3", &third);
}

#[test]
fn every_schema_reads_and_is_read_by_every_version_kept() {
    for kind in RecordKind::ALL {
        let mut kept = 0;
        for file in std::fs::read_dir(directory(kind)).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if !(name.starts_with('v') && name.ends_with(".avsc")) {
                continue;
            }
            kept += 1;
            let version = Schema::parse_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            SchemaCompatibility::can_read(&version, kind.schema())
                .unwrap_or_else(|error| panic!("{kind} cannot read its {name}: {error}"));
            // Only snapshots are read by nobody but a later version of ourselves.
            if kind != RecordKind::Snapshot {
                SchemaCompatibility::can_read(kind.schema(), &version)
                    .unwrap_or_else(|error| panic!("{name} of {kind} cannot read the current one: {error}"));
            }
        }
        assert!(kept > 0, "no version of {kind} is kept");
    }
}

#[test]
fn bytes_cut_short_or_with_more_behind_are_no_record() {
    fn check<R: WireRecord + DeserializeOwned + Debug>() {
        let bytes = std::fs::read(directory(R::KIND).join("v1.bin")).unwrap();
        let reader = AvroReader::parse(R::KIND.schema_text()).unwrap();
        for end in 0..bytes.len() {
            assert!(matches!(reader.read::<R>(&bytes[..end]), Err(BodyFault::Bytes(_))), "{} cut at {end}", R::KIND);
        }
        let longer = [&bytes[..], b"\0"].concat();
        assert!(matches!(reader.read::<R>(&longer), Err(BodyFault::Bytes(_))), "{} with a byte more", R::KIND);
    }
    check::<TaskSubmitted>();
    check::<AgentReport>();
    check::<TaskCommand>();
    check::<AgentDefinition>();
    check::<AgentHeartbeat>();
    check::<Cancellation>();
    check::<AgentOutcome>();
    check::<AgentHealth>();
    check::<AgentExamples>();
    check::<Alert>();
    check::<Experiment>();
    check::<Snapshot>();
}

/// Not a bound but a tripwire, the fastest of many so that a busy machine does not trip it: a schema resolved anew for
/// each record, the mistake this guards against, costs fifty times as much.
#[test]
fn a_record_is_written_and_read_in_little_time() {
    fn fastest(mut once: impl FnMut()) -> std::time::Duration {
        let time = |_| {
            let start = std::time::Instant::now();
            once();
            start.elapsed()
        };
        (0..500).map(time).min().unwrap_or_default()
    }
    let (task, reader) = (task(), AvroReader::parse(RecordKind::TaskSubmitted.schema_text()).unwrap());
    let bytes = wire::encode(1, &task);
    let written = fastest(|| drop(wire::encode(1, std::hint::black_box(&task))));
    let read = fastest(|| drop(std::hint::black_box(reader.read::<TaskSubmitted>(&bytes[5..]).unwrap())));
    let much = std::time::Duration::from_micros(500);
    assert!(written < much && read < much, "written in {written:?}, read in {read:?}");
}
