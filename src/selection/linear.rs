//! What examples teach beyond their words: a linear model of which agent a text is for.
//!
//! Multinomial logistic regression over the same terms, by stochastic gradient descent in a fixed order: the same
//! lessons give the same weights. Each lesson is set against its *rivals* only, the agents whose texts fit it best, so
//! that neither time nor memory grows with agents times terms. Weights lie in one table, addressed by hash.

/// A text with the agent it is for.
#[derive(Debug)]
pub(super) struct Lesson {
    pub(super) agent: u32,
    /// Terms and their values.
    pub(super) features: Vec<(u64, f32)>,
    /// Whom it could be taken to be for, the right one among them.
    pub(super) rivals: Vec<u32>,
}

#[derive(Debug)]
pub(super) struct Linear {
    weights: Vec<f32>,
}

/// Times each lesson is learned; fewer where there are many, so that the time stays bounded.
const ROUNDS: usize = 24;
const LEAST_ROUNDS: usize = 3;
const LESSONS_TIMES_RIVALS: usize = 400_000;
/// The first step's length; later ones are shorter.
const STEP: f32 = 2.0;
/// Bounds of the table, in weights of 4 bytes.
const LEAST_WEIGHTS: usize = 1 << 12;
const MOST_WEIGHTS: usize = 1 << 22;

impl Linear {
    pub(super) fn train(lessons: &[Lesson], terms: usize) -> Self {
        let rivals = lessons.iter().map(|lesson| lesson.rivals.len()).max().unwrap_or(0);
        let wanted = (8 * terms * rivals).next_power_of_two().clamp(LEAST_WEIGHTS, MOST_WEIGHTS);
        let mut model = Self { weights: vec![0.0; wanted] };
        let rounds = (LESSONS_TIMES_RIVALS / (lessons.len() * rivals).max(1)).clamp(LEAST_ROUNDS, ROUNDS);
        let mut scores = Vec::with_capacity(rivals);
        for round in 0..rounds {
            let step = STEP / (1.0 + 3.0 * round as f32 / rounds as f32);
            for i in 0..lessons.len() {
                model.learn(&lessons[spread(i, lessons.len())], step, &mut scores);
            }
        }
        model
    }

    fn learn(&mut self, lesson: &Lesson, step: f32, scores: &mut Vec<f32>) {
        scores.clear();
        scores.extend(std::iter::repeat_n(0.0, lesson.rivals.len()));
        self.add_scores(&lesson.features, &lesson.rivals, scores);
        let most = scores.iter().copied().fold(f32::MIN, f32::max);
        let mut total = 0.0;
        for score in &mut *scores {
            *score = (*score - most).exp();
            total += *score;
        }
        for (score, rival) in scores.iter_mut().zip(&lesson.rivals) {
            *score = step * (f32::from(u8::from(*rival == lesson.agent)) - *score / total);
        }
        for (key, value) in &lesson.features {
            let base = self.base(*key);
            for (change, rival) in scores.iter().zip(&lesson.rivals) {
                let slot = self.slot(base, *rival);
                self.weights[slot] += change * value;
            }
        }
    }

    /// Adds to `scores` how much these features speak for each of `agents`.
    pub(super) fn add_scores(&self, features: &[(u64, f32)], agents: &[u32], scores: &mut [f32]) {
        for (key, value) in features {
            let base = self.base(*key);
            for (score, agent) in scores.iter_mut().zip(agents) {
                *score += value * self.weights[self.slot(base, *agent)];
            }
        }
    }

    /// Where a term's weights begin; its agents' follow, in as few cache lines as may be.
    fn base(&self, key: u64) -> usize {
        (key ^ (key >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) as usize >> 16
    }

    fn slot(&self, base: usize, agent: u32) -> usize {
        base.wrapping_add(agent as usize) & (self.weights.len() - 1)
    }

    pub(super) fn bytes(&self) -> usize {
        self.weights.len() * size_of::<f32>()
    }
}

/// The `i`th of `count` in an order in which neighbours are far apart: lessons come sorted by agent.
fn spread(i: usize, count: usize) -> usize {
    let mut stride = (count as f64 * 0.618) as usize | 1;
    while gcd(stride, count) != 1 {
        stride += 2;
    }
    i * stride % count
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
