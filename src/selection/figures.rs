//! How good choices were, in figures, where it is known which were right.

/// One choice on a task whose agent is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Whether some agent is right for the task at all.
    pub in_scope: bool,
    /// Whether the agent named first is that one.
    pub right: bool,
    /// Whether the choice was made without doubt: by a clear lead, or by an LLM.
    pub answered: bool,
    /// 0 to 1; none where no agent was named.
    pub confidence: Option<f64>,
    pub micros: u64,
}

/// Shares are 0 to 1, and none where there is nothing they could be a share of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    pub tasks: usize,
    /// Of the tasks in scope: the right agent first.
    pub accuracy: Option<f64>,
    /// Of the tasks in scope: chosen without doubt, and right in how many of those.
    pub answered: Option<f64>,
    pub accuracy_answered: Option<f64>,
    /// Of the tasks that are for no agent: not chosen without doubt.
    pub out_of_scope_abstained: Option<f64>,
    /// How far confidence is from what came true, over all choices that named an agent: the mean over ten bins of
    /// confidence, by how many are in each. Whoever names an agent for a task of none is wrong.
    pub calibration_error: Option<f64>,
    pub p50_micros: u64,
    pub p99_micros: u64,
}

impl Figures {
    #[must_use]
    pub fn of(outcomes: &[Outcome]) -> Self {
        let (inside, outside): (Vec<&Outcome>, Vec<&Outcome>) = outcomes.iter().partition(|outcome| outcome.in_scope);
        let answered: Vec<&Outcome> = inside.iter().copied().filter(|outcome| outcome.answered).collect();
        let mut micros: Vec<u64> = outcomes.iter().map(|outcome| outcome.micros).collect();
        micros.sort_unstable();
        let quantile = |permille: usize| micros.get((micros.len() * permille / 1_000).min(micros.len().max(1) - 1));
        Self {
            tasks: outcomes.len(),
            accuracy: share(&inside, |outcome| outcome.right),
            answered: share(&inside, |outcome| outcome.answered),
            accuracy_answered: share(&answered, |outcome| outcome.right),
            out_of_scope_abstained: share(&outside, |outcome| !outcome.answered),
            calibration_error: calibration_error(outcomes),
            p50_micros: quantile(500).copied().unwrap_or(0),
            p99_micros: quantile(990).copied().unwrap_or(0),
        }
    }
}

/// Of the tasks in scope, how many are right among this share (0 to 1) of them with the greatest confidence.
#[must_use]
pub fn accuracy_of_surest(outcomes: &[Outcome], surest: f64) -> Option<f64> {
    let mut inside: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.in_scope).collect();
    let confidence = |outcome: &Outcome| outcome.confidence.unwrap_or(0.0);
    inside.sort_by(|a, b| confidence(b).total_cmp(&confidence(a)));
    inside.truncate((inside.len() as f64 * surest) as usize);
    share(&inside, |outcome| outcome.right)
}

fn share(outcomes: &[&Outcome], test: impl Fn(&Outcome) -> bool) -> Option<f64> {
    let count = outcomes.iter().filter(|outcome| test(outcome)).count();
    (!outcomes.is_empty()).then(|| count as f64 / outcomes.len() as f64)
}

fn calibration_error(outcomes: &[Outcome]) -> Option<f64> {
    const BINS: usize = 10;
    // What was promised less what was kept.
    let mut missing = [0.0; BINS];
    let mut named = 0;
    for (outcome, confidence) in outcomes.iter().filter_map(|outcome| Some((outcome, outcome.confidence?))) {
        let bin = ((confidence * BINS as f64) as usize).min(BINS - 1);
        missing[bin] += confidence - f64::from(u8::from(outcome.right));
        named += 1;
    }
    (named > 0).then(|| missing.iter().map(|missing| missing.abs()).sum::<f64>() / f64::from(named))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(in_scope: bool, right: bool, answered: bool, confidence: f64) -> Outcome {
        Outcome { in_scope, right, answered, confidence: Some(confidence), micros: 10 }
    }

    #[test]
    fn nothing_gives_no_share_of_anything() {
        assert_eq!(Figures::of(&[]), Figures::default());
    }

    #[test]
    fn shares_are_of_what_they_say() {
        let mut outcomes = vec![
            outcome(true, true, true, 0.9),
            outcome(true, false, true, 0.8),
            outcome(true, true, false, 0.5),
            outcome(true, false, false, 0.4),
            outcome(false, false, true, 0.7),
            outcome(false, false, false, 0.2),
        ];
        outcomes[0].micros = 1_000;
        let figures = Figures::of(&outcomes);
        assert_eq!((figures.tasks, figures.accuracy, figures.answered), (6, Some(0.5), Some(0.5)));
        assert_eq!((figures.accuracy_answered, figures.out_of_scope_abstained), (Some(0.5), Some(0.5)));
        assert_eq!((figures.p50_micros, figures.p99_micros), (10, 1_000));
        assert_eq!(accuracy_of_surest(&outcomes, 0.25), Some(1.0));
    }

    #[test]
    fn who_is_right_as_often_as_promised_is_calibrated() {
        let honest: Vec<Outcome> = (0..100).map(|i| outcome(true, i < 75, true, 0.75)).collect();
        assert!(Figures::of(&honest).calibration_error.expect("some") < 1e-9);
        let boasting: Vec<Outcome> = (0..100).map(|i| outcome(true, i < 50, true, 1.0)).collect();
        assert!((Figures::of(&boasting).calibration_error.expect("some") - 0.5).abs() < 1e-9);
        let silent = Outcome { confidence: None, ..outcome(true, false, false, 0.0) };
        assert_eq!(Figures::of(&[silent]).calibration_error, None);
    }
}
