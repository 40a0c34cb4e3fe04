use super::candidates::{Choosable, Scene};
use super::names::shown;
use super::policy::{LlmUse, Policy};
use super::registry::{Availability, Registry};
use crate::workflow::{Choosing, Pinned, Prospects, Settled, SettledBy, Verdict};

/// Decides at once where contracts, a clear winner or the lack of an LLM let it; else says whom to ask about.
#[must_use]
pub fn choose(registry: &Registry, availability: &Availability, policy: &Policy, choosing: &Choosing<'_>) -> Verdict {
    let scene = Scene::new(registry, availability, choosing);
    let llm = policy.llm_for(choosing.task);
    match course(&scene, llm) {
        Course::Settled(settled) => Verdict::Settled(settled),
        Course::Open { ranked, only_ask } => {
            let asks = match llm {
                LlmUse::Always => true,
                LlmUse::Ambiguous => only_ask || !leads(&scene, policy, &ranked),
                LlmUse::Never => false,
            };
            if asks {
                let set = ranked.iter().take(policy.shortlist.max(1)).map(|place| scene.name(*place).to_owned());
                return Verdict::Ask { set: set.collect(), offers_done: !scene.is_first_hop() };
            }
            Verdict::Settled(Box::new(locally(&scene, policy, &ranked)))
        }
    }
}

/// Who could be chosen now.
#[must_use]
pub fn prospects(registry: &Registry, availability: &Availability, choosing: &Choosing<'_>) -> Prospects {
    let scene = Scene::new(registry, availability, choosing);
    Prospects { eligible: scene.eligible_names().iter().map(ToString::to_string).collect(), busy: scene.busy_topics() }
}

/// What a route does where no LLM is to be asked.
pub(super) fn without_llm(scene: &Scene<'_>, policy: &Policy) -> Settled {
    match course(scene, LlmUse::Never) {
        Course::Settled(settled) => *settled,
        Course::Open { ranked, .. } => locally(scene, policy, &ranked),
    }
}

/// How far contracts alone bring a choice.
enum Course {
    Settled(Box<Settled>),
    /// At least one, best first. `only_ask`: no contract points to them, so their texts alone decide nothing
    /// after the first hop.
    Open {
        ranked: Vec<usize>,
        only_ask: bool,
    },
}

fn course(scene: &Scene<'_>, llm: LlmUse) -> Course {
    if let Some(settled) = named(scene) {
        return Course::Settled(Box::new(settled));
    }
    let matching = scene.matching();
    if let ([place], false) = (matching.as_slice(), llm == LlmUse::Always) {
        return Course::Settled(Box::new(by_contract(scene, *place)));
    }
    let no_match_after_first_hop = matching.is_empty() && !scene.is_first_hop();
    if no_match_after_first_hop && let Some(settled) = nobody_takes_it(scene, llm != LlmUse::Never) {
        return Course::Settled(Box::new(settled));
    }
    let mut pool = scene.eligible();
    if matching.len() > 1 {
        pool.retain(|place| matching.contains(place));
    }
    if pool.is_empty() {
        let settled = match matching.first() {
            Some(place) => waits_for(scene, *place, matching.len() - 1),
            None => scene.settled(Choosable::None, SettledBy::Local, None, scene.nobody()),
        };
        return Course::Settled(Box::new(settled));
    }
    scene.prefer_others(&mut pool);
    Course::Open { ranked: scene.ranked(pool, &matching), only_ask: no_match_after_first_hop }
}

/// The agent that is named for the step, or that had its last attempt and is to have the next.
fn named(scene: &Scene<'_>) -> Option<Settled> {
    if let Some(Pinned { agent_name, by_operator }) = scene.choosing.pinned {
        let by = if by_operator { SettledBy::Operator } else { SettledBy::Pinned };
        let whose = if by_operator { "a person" } else { "the plan" };
        return Some(match scene.eligible().first() {
            Some(place) => {
                let reason = format!("{whose} names `{}`", scene.name(*place));
                scene.settled(Choosable::Agent(*place), by, None, reason)
            }
            None => {
                let place = scene.place(agent_name);
                let why = place.and_then(|place| scene.why_not(place)).unwrap_or_else(|| "it is not registered".into());
                let reason = format!("waiting for `{}`, which {whose} names: {why}", shown(agent_name));
                scene.settled(Choosable::None, by, None, reason)
            }
        });
    }
    let place = scene.place(scene.choosing.again?)?;
    if !scene.standings[place].is_eligible() {
        return None;
    }
    let reason = format!("`{}` had the last attempt and goes on with it", scene.name(place));
    Some(scene.settled(Choosable::Agent(place), SettledBy::Pinned, None, reason))
}

fn by_contract(scene: &Scene<'_>, place: usize) -> Settled {
    if !scene.standings[place].is_eligible() {
        return waits_for(scene, place, 0);
    }
    let reason = format!("`{}` alone takes what there is by its input contract", scene.name(place));
    scene.settled(Choosable::Agent(place), SettledBy::Contract, None, reason)
}

fn waits_for(scene: &Scene<'_>, place: usize, others: usize) -> Settled {
    let why = scene.why_not(place).unwrap_or_default();
    let others = if others == 0 { String::new() } else { format!(" (and {others} more)") };
    let reason = format!("waiting for `{}`{others}, whose input contract matches: {why}", scene.name(place));
    scene.settled(Choosable::None, SettledBy::Contract, None, reason)
}

/// After the first hop, with nobody that contracts point to: whether that alone says what follows.
fn nobody_takes_it(scene: &Scene<'_>, asks: bool) -> Option<Settled> {
    // One that declined would have gone on: its refusal is no sign that the work is done.
    if !asks && let Some(place) = scene.standings.iter().position(|standing| standing.matches && standing.declined()) {
        let reason = format!("`{}` takes what was produced, but declined this step", scene.name(place));
        return Some(scene.settled(Choosable::None, SettledBy::Contract, None, reason));
    }
    let somebody_takes = scene.standings.iter().any(|standing| standing.takes);
    if scene.registry.is_empty() || (asks && somebody_takes) {
        return None;
    }
    let reason = "no registered agent takes what was produced".to_owned();
    Some(scene.settled(Choosable::Done, SettledBy::Contract, None, reason))
}

/// Whether one leads all others clearly.
fn leads(scene: &Scene<'_>, policy: &Policy, ranked: &[usize]) -> bool {
    // Chances have four places; what subtraction adds must not decide.
    const NOISE: f64 = 1e-9;
    ranked.len() == 1 || scene.preference(policy, ranked).lead >= policy.margin - NOISE
}

fn locally(scene: &Scene<'_>, policy: &Policy, ranked: &[usize]) -> Settled {
    let by = if leads(scene, policy, ranked) { SettledBy::ClearWinner } else { SettledBy::Local };
    take(scene, policy, ranked, by, "")
}

/// The agent to take, though nobody may lead by much; `before` says why that has to do.
pub(super) fn best(scene: &Scene<'_>, policy: &Policy, ranked: &[usize], before: &str) -> Settled {
    take(scene, policy, ranked, SettledBy::Local, before)
}

fn take(scene: &Scene<'_>, policy: &Policy, ranked: &[usize], by: SettledBy, before: &str) -> Settled {
    let preference = scene.preference(policy, ranked);
    let mut reason = format!("{before}{}", scene.comparison(ranked));
    if let Some(why) = preference.reason(scene) {
        reason = format!("{reason}; {why}");
    }
    scene.settled(Choosable::Agent(preference.taken), by, Some(preference.chance), reason)
}
