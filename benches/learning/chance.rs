//! What agents are like by chance.

/// A standard normal value.
pub(crate) fn normal(dice: &mut fastrand::Rng) -> f64 {
    (-2.0 * (1.0 - dice.f64()).ln()).sqrt() * (std::f64::consts::TAU * dice.f64()).cos()
}

/// A name, a standard deviation, and how values are drawn.
pub(crate) type Law = (&'static str, f64, fn(&mut fastrand::Rng) -> f64);

/// Logarithms of latencies, most with heavy tails or two humps.
pub(crate) const LATENCIES: [Law; 6] = [
    ("log-normal", 0.5, |dice| 0.5 * normal(dice)),
    // The least deviation that is one: a tenth.
    ("constant", 0.1, |_| 0.0),
    ("Pareto 1.5", 1.0 / 1.5, |dice| -(1.0 - dice.f64()).ln() / 1.5),
    ("log-Student 3", 1.732, |dice| {
        let squares: f64 = (0..3).map(|_| normal(dice).powi(2)).sum();
        normal(dice) / (squares / 3.0).sqrt()
    }),
    ("two humps, 80 % and 20 %", 1.044, |dice| 0.3 * normal(dice) + if dice.f64() < 0.8 { 0.0 } else { 2.5 }),
    ("two humps, 97 % and 3 %", 0.593, |dice| 0.3 * normal(dice) + if dice.f64() < 0.97 { 0.0 } else { 3.0 }),
];
