//! What is unusual of one agent: jumps and drift of its latency, failures, output size and cost, and silence.
//!
//! Each metric has what is usual of it, learned while nothing is the matter, and at most one episode at a time: raised
//! once, ended once there is evidence that it is over. What goes on for a thousand outcomes is the usual then. An
//! episode is in the state, so whoever restores it neither raises it again nor forgets to end it.

mod episode;
mod level;
mod rate;
mod run;
mod silence;
#[cfg(test)]
mod tests;

pub use episode::{Change, Episode, Kind};
pub use level::Level;
pub use rate::Rate;
pub use run::Run;
pub use silence::Silence;

use super::statistics::{Observation, Verdict, verdict};

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Milliseconds of a success.
    Latency,
    /// Share of the outcomes that were its failures, 0 to 1.
    Failures,
    /// Bytes of a success.
    OutputSize,
    /// Millionths of a success.
    Cost,
    /// Milliseconds without heartbeat.
    Silence,
}

impl Metric {
    pub const ALL: [Self; 5] = [Self::Latency, Self::Failures, Self::OutputSize, Self::Cost, Self::Silence];

    /// What is so small beside it differs by nothing that matters: two milliseconds instead of one are no anomaly.
    const fn grain(self) -> f64 {
        match self {
            Self::Latency => 10.0,
            Self::OutputSize => 64.0,
            Self::Cost => 100.0,
            Self::Failures | Self::Silence => 0.0,
        }
    }
}

/// Something to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    pub metric: Metric,
    /// Raised, or ended.
    pub raised: bool,
    pub episode: Episode,
    /// When it was seen to begin or end, in milliseconds since the epoch.
    pub at: i64,
    /// In words.
    pub message: String,
}

/// All that is watched of one agent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Anomalies {
    pub latency: Level,
    pub output_size: Level,
    pub cost: Level,
    pub failures: Rate,
    pub silence: Silence,
}

impl Anomalies {
    /// Takes an outcome; what is to be told of it.
    pub fn take(&mut self, seen: &Observation) -> Vec<Notice> {
        let failed = match verdict(seen.class) {
            Verdict::Good => false,
            Verdict::Bad => true,
            Verdict::Overloaded | Verdict::Unheard | Verdict::Neither | Verdict::Nothing => return Vec::new(),
        };
        let mut notices = Vec::new();
        let mut tell =
            |metric, change: Option<Change>| notices.extend(change.map(|change| notice(metric, change, seen.at)));
        tell(Metric::Failures, self.failures.take(failed, seen.at));
        if !failed {
            let mut level = |metric: Metric, level: &mut Level, value: i64| {
                #[allow(clippy::cast_precision_loss, reason = "an estimate")]
                let value = value.max(0) as f64;
                tell(metric, level.take(value, metric.grain(), seen.at));
            };
            level(Metric::Latency, &mut self.latency, seen.latency_ms);
            level(Metric::OutputSize, &mut self.output_size, seen.output_bytes);
            level(Metric::Cost, &mut self.cost, seen.cost_micros);
        }
        notices
    }

    /// Takes when the agent was last heard of; `now` is the broker's time. Silence shorter than `at_least` is none.
    pub fn listen(&mut self, heard: i64, now: i64, at_least: i64) -> Option<Notice> {
        let change = self.silence.listen(heard, now, at_least)?;
        Some(notice(Metric::Silence, change, now))
    }

    /// Ends a silence that is none: the agent has left, or is not registered any more.
    pub fn let_be(&mut self, now: i64) -> Option<Notice> {
        let episode = self.silence.episode.take()?;
        let message = "it has left, or is not registered any more".to_owned();
        Some(Notice { metric: Metric::Silence, raised: false, episode, at: now, message })
    }

    /// Ends whatever goes on: the agent is forgotten.
    pub fn forget(&mut self, now: i64) -> Vec<Notice> {
        let active: Vec<(Metric, Episode)> = self.active().collect();
        *self = Self::default();
        let ended = |(metric, episode)| {
            let message = "the agent is forgotten".to_owned();
            Notice { metric, raised: false, episode, at: now, message }
        };
        active.into_iter().map(ended).collect()
    }

    /// What goes on.
    pub fn active(&self) -> impl Iterator<Item = (Metric, Episode)> {
        let episodes = [
            (Metric::Latency, self.latency.episode),
            (Metric::Failures, self.failures.episode),
            (Metric::OutputSize, self.output_size.episode),
            (Metric::Cost, self.cost.episode),
            (Metric::Silence, self.silence.episode),
        ];
        episodes.into_iter().filter_map(|(metric, episode)| Some((metric, episode?)))
    }
}

fn notice(metric: Metric, change: Change, at: i64) -> Notice {
    let (raised, message) = match change {
        Change::Raised(episode) => (true, raised(metric, &episode)),
        Change::Ended(episode) => {
            (false, format!("{} is as usual again: {}", name(metric), quantity(metric, episode.value)))
        }
        Change::Usual(episode) => {
            (false, format!("{} is what is usual now, after {} outcomes", name(metric), episode.observations))
        }
    };
    let (Change::Raised(episode) | Change::Ended(episode) | Change::Usual(episode)) = change;
    Notice { metric, raised, episode, at, message }
}

fn raised(metric: Metric, episode: &Episode) -> String {
    let (value, expected) = (quantity(metric, episode.value), quantity(metric, episode.expected));
    let count = episode.observations;
    match (metric, episode.kind) {
        (Metric::Silence, _) => format!("no heartbeat for {value}, one comes every {expected} usually"),
        (_, Kind::Jump) => format!("{} jumped to {value} in {count} outcomes, usually {expected}", name(metric)),
        (_, _) => format!("{} drifted to {value} in {count} outcomes, usually {expected}", name(metric)),
    }
}

fn name(metric: Metric) -> &'static str {
    match metric {
        Metric::Latency => "latency",
        Metric::Failures => "the rate of failures",
        Metric::OutputSize => "output size",
        Metric::Cost => "cost",
        Metric::Silence => "the interval of heartbeats",
    }
}

fn quantity(metric: Metric, value: f64) -> String {
    match metric {
        Metric::Latency | Metric::Silence => format!("{value:.0} ms"),
        Metric::Failures => format!("{:.1} %", value * 100.0),
        Metric::OutputSize => format!("{value:.0} bytes"),
        Metric::Cost => format!("{value:.0} micros"),
    }
}
