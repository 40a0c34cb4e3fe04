//! Consumer groups: who joins waits for the round, who falls silent is put out of it.

use super::Shared;
use super::engine::{EngineState, GroupLifecycleState, GroupState};
use bytes::Bytes;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
    SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A member that waits looks at the clock this often.
const LOOK: Duration = Duration::from_millis(200);

const UNKNOWN_MEMBER_ID: i16 = 25;
const REBALANCE_IN_PROGRESS: i16 = 27;

/// The generation whose members own the partitions, by group. The state machine counts a new one when a round begins; in
/// Kafka the members of the last one may commit until it is complete, as they must to hand over what they did.
pub(super) type Rounds = HashMap<String, i32>;

/// The generation in which members may commit now.
pub(super) fn generation(rounds: &Rounds, group: &GroupState) -> i32 {
    let gathers = group.state == GroupLifecycleState::PreparingRebalance;
    rounds.get(&group.group_id).filter(|_| gathers).copied().unwrap_or(group.generation_id)
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn group<'a>(engine: &'a mut EngineState, id: &str) -> Option<&'a mut GroupState> {
    engine.groups.get_mut(id)
}

/// That it waits here is a sign of life: nothing else can come over its connection meanwhile.
fn touch(group: &mut GroupState, member: &str, now: i64) {
    if let Some(member) = group.members.get_mut(member) {
        member.last_heartbeat_ms = now;
    }
}

/// Joins and waits until every member has, or those that have not are put out.
pub(super) fn join(
    shared: &Shared,
    asked: &JoinGroupRequest,
    version: i16,
    client: &str,
    host: &str,
) -> JoinGroupResponse {
    let id = asked.group_id.as_str();
    let mut inner = shared.lock();
    let first = inner.engine.handle_join_group(asked, version, client, host);
    if first.error_code != 0 {
        return first;
    }
    let member = first.member_id;
    loop {
        let now = inner.engine.now_ms();
        let Some(group) = group(&mut inner.engine, id) else { return refused(UNKNOWN_MEMBER_ID) };
        if !group.members.contains_key(member.as_str()) {
            return refused(UNKNOWN_MEMBER_ID);
        }
        touch(group, &member, now);
        // Nobody else is expected here, so a first round does not wait for more members.
        group.initial_until = None;
        group.try_complete_join();
        shared.groups.notify_all();
        match group.state {
            GroupLifecycleState::CompletingRebalance | GroupLifecycleState::Stable => {
                let answer = joined(group, &member);
                inner.rounds.insert(id.to_owned(), answer.generation_id);
                return answer;
            }
            GroupLifecycleState::Dead => return refused(UNKNOWN_MEMBER_ID),
            GroupLifecycleState::Empty | GroupLifecycleState::PreparingRebalance => {}
        }
        let patience = group.members.values().map(|member| i64::from(member.rebalance_timeout_ms)).max().unwrap_or(0);
        if now - group.rebalance_start_ms >= patience {
            let GroupState { members, awaiting_members, .. } = group;
            members.retain(|id, _| awaiting_members.contains_key(id));
            continue;
        }
        if shared.is_stopping() {
            return refused(REBALANCE_IN_PROGRESS);
        }
        inner = Shared::wait(&shared.groups, inner, LOOK);
    }
}

fn refused(code: i16) -> JoinGroupResponse {
    let mut answer = JoinGroupResponse::default();
    (answer.error_code, answer.generation_id) = (code, -1);
    answer
}

fn joined(group: &GroupState, member: &StrBytes) -> JoinGroupResponse {
    let mut answer = JoinGroupResponse::default();
    answer.generation_id = group.generation_id;
    answer.protocol_type = Some(text(&group.protocol_type));
    answer.protocol_name = Some(text(group.protocol_name.as_deref().unwrap_or_default()));
    answer.leader = text(group.leader_id.as_deref().unwrap_or_default());
    answer.member_id = member.clone();
    if answer.leader == *member {
        answer.members = group
            .members
            .values()
            .map(|one| {
                let mut member = JoinGroupResponseMember::default();
                member.member_id = text(&one.member_id);
                member.group_instance_id = one.group_instance_id.as_deref().map(text);
                let chosen = one.protocols.iter().find(|(name, _)| Some(name) == group.protocol_name.as_ref());
                member.metadata = chosen.map(|(_, metadata)| Bytes::copy_from_slice(metadata)).unwrap_or_default();
                member
            })
            .collect();
    }
    answer
}

/// The leader brings the assignment; the others wait for it.
pub(super) fn sync(shared: &Shared, asked: &SyncGroupRequest, version: i16) -> SyncGroupResponse {
    let (id, member) = (asked.group_id.as_str(), asked.member_id.as_str());
    let started = Instant::now();
    let mut inner = shared.lock();
    loop {
        let now = inner.engine.now_ms();
        let mut patience = Duration::ZERO;
        if let Some(group) = group(&mut inner.engine, id) {
            touch(group, member, now);
            let waits = group.state == GroupLifecycleState::CompletingRebalance
                && group.generation_id == asked.generation_id
                && group.leader_id.as_deref() != Some(member);
            if let Some(one) = group.members.get(member).filter(|_| waits) {
                patience = Duration::from_millis(u64::try_from(one.rebalance_timeout_ms).unwrap_or(0));
            }
        }
        if patience.is_zero() {
            let answer = inner.engine.handle_sync_group(asked, version);
            shared.groups.notify_all();
            return answer;
        }
        if started.elapsed() >= patience || shared.is_stopping() {
            let mut answer = SyncGroupResponse::default();
            answer.error_code = REBALANCE_IN_PROGRESS;
            return answer;
        }
        inner = Shared::wait(&shared.groups, inner, LOOK);
    }
}

/// A member that is told to join again has given a sign of life all the same.
pub(super) fn heartbeat(engine: &mut EngineState, asked: &HeartbeatRequest, version: i16) -> HeartbeatResponse {
    let answer = engine.handle_heartbeat(asked, version);
    if answer.error_code == REBALANCE_IN_PROGRESS {
        let now = engine.now_ms();
        if let Some(group) = group(engine, asked.group_id.as_str()) {
            touch(group, &asked.member_id, now);
        }
    }
    answer
}

/// Puts out the members whose session is over; whether there were any.
pub(super) fn expire(engine: &mut EngineState) -> bool {
    let now = engine.now_ms();
    let mut silent = Vec::new();
    for group in engine.groups.values() {
        let over = group.members.values().filter(|one| now - one.last_heartbeat_ms > i64::from(one.session_timeout_ms));
        silent.extend(over.map(|one| (group.group_id.clone(), one.member_id.clone())));
    }
    for (group, member) in &silent {
        tracing::info!(group, member, "the embedded broker has not heard of a member in time");
        let mut leave = LeaveGroupRequest::default();
        (leave.group_id, leave.member_id) = (kafka_protocol::messages::GroupId(text(group)), text(member));
        engine.handle_leave_group(&leave, 0);
    }
    !silent.is_empty()
}
