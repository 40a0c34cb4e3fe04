//! From a record on an ingress topic to what the core takes, in two moves: the id, as soon as it can be read, so
//! that the record is judged where its task lives; then all else, by the draft's `check`.

use super::codec::{Codec, Content, GivenId, RawRecord, Undecided};
use super::command_draft::CommandDraft;
use super::headers::arrived_from;
use super::names::{check_task_id, task_id_of};
use super::refusal::{Reason, Refusal, quoted};
use super::report_draft::ReportDraft;
use super::schema::WireRecord;
use super::task_draft::TaskDraft;
use super::{AgentReport, TaskCommand, TaskSubmitted};

/// A record whose task's id is known and well formed.
#[derive(Clone, Debug, PartialEq)]
pub struct Ingress<D> {
    pub task_id: String,
    pub draft: D,
}

/// The bounds ingress holds; see `architecture.md` for who ends what is over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IngressLimits {
    /// Bytes of one payload: an input, an output, an objective.
    pub payload_bytes: usize,
}

impl Codec {
    /// A record of `tasks`. Its id is the one in it, else its key, else made from where it arrived first.
    ///
    /// # Errors
    ///
    /// No id can be read, or the schema it was written with is not known yet.
    pub fn decode_task(&self, raw: &RawRecord<'_>) -> Result<Ingress<TaskDraft>, Undecided> {
        let Content { id, mut record } = self.content::<TaskSubmitted>(raw.value, Some("taskId"))?;
        let given = match (&mut record, id) {
            (Ok(task), _) => std::mem::take(&mut task.task_id),
            (Err(_), GivenId::Text(id)) => id,
            (Err(_), GivenId::Absent) => String::new(),
            (Err(refusal), GivenId::Unreadable) => return Err(refusal.clone().into()),
        };
        let key = raw.key.filter(|key| !key.is_empty());
        let (task_id, record) = match (given.is_empty(), key) {
            (false, key) => {
                checked_id(&given, "taskId")?;
                let record = same_key(&given, key).and(record);
                (given, record)
            }
            (true, Some(key)) => (id_of_key(key)?, record),
            (true, None) => (made_id(raw), record),
        };
        let draft = TaskDraft::new(record.map(|task| TaskSubmitted { task_id: task_id.clone(), ..task }));
        Ok(Ingress { task_id, draft })
    }

    /// A record of `agent-status`.
    ///
    /// # Errors
    ///
    /// No task id can be read, or the schema it was written with is not known yet.
    pub fn decode_report(&self, raw: &RawRecord<'_>) -> Result<Ingress<ReportDraft>, Undecided> {
        let (task_id, record) = self.of_task(raw, |report: &AgentReport| report.task_id.clone())?;
        Ok(Ingress { task_id, draft: ReportDraft::new(record) })
    }

    /// A record of `task-commands`.
    ///
    /// # Errors
    ///
    /// No task id can be read, or the schema it was written with is not known yet.
    pub fn decode_command(&self, raw: &RawRecord<'_>) -> Result<Ingress<CommandDraft>, Undecided> {
        let (task_id, record) = self.of_task(raw, |command: &TaskCommand| command.task_id.clone())?;
        Ok(Ingress { task_id, draft: CommandDraft::new(record) })
    }

    /// A record that says which task it is about, and that task's id.
    fn of_task<T: WireRecord>(
        &self,
        raw: &RawRecord<'_>,
        task_id: impl Fn(&T) -> String,
    ) -> Result<(String, Result<T, Refusal>), Undecided> {
        let Content { id, record } = self.content::<T>(raw.value, Some("taskId"))?;
        let (task_id, record) = match (record, id) {
            (Ok(record), _) => (task_id(&record), Ok(record)),
            (Err(refusal), GivenId::Text(id)) => (id, Err(refusal)),
            (Err(refusal), GivenId::Absent | GivenId::Unreadable) => return Err(refusal.into()),
        };
        checked_id(&task_id, "taskId")?;
        let record = same_key(&task_id, raw.key.filter(|key| !key.is_empty())).and(record);
        Ok((task_id, record))
    }
}

fn checked_id(id: &str, what: &str) -> Result<(), Refusal> {
    check_task_id(id).map_err(|fault| Refusal::new(Reason::Id, format!("{what}: {fault}")))
}

fn id_of_key(key: &[u8]) -> Result<String, Refusal> {
    let id = String::from_utf8_lossy(key);
    checked_id(&id, "key")?;
    Ok(id.into_owned())
}

fn same_key(id: &str, key: Option<&[u8]>) -> Result<(), Refusal> {
    match key {
        Some(key) if key != id.as_bytes() => {
            let key = quoted(&String::from_utf8_lossy(key));
            let detail = format!("key: {key} is not the taskId {}; send them alike, or no key", quoted(id));
            Err(Refusal::new(Reason::Id, detail))
        }
        _ => Ok(()),
    }
}

/// The id of a task that has none and no key. A forwarded record keeps the one it would have got where it arrived; a
/// header that says nothing counts for nothing.
#[must_use]
pub fn made_id(raw: &RawRecord<'_>) -> String {
    let first = raw.arrived.and_then(arrived_from);
    let (partition, offset) = first.unwrap_or((raw.partition, raw.offset));
    task_id_of(raw.topic, partition, offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Completion, Outcome, Reason, RecordKind, SchemaCache, WriterSchema, wire};
    use crate::workflow;
    use std::sync::Arc;

    const LIMITS: IngressLimits = IngressLimits { payload_bytes: 64 };
    const AVRO_TASK: u32 = 1;
    const AVRO_REPORT: u32 = 2;
    const JSON: u32 = 3;
    const PROTOBUF: u32 = 4;
    const COMPLETION: u32 = 5;
    const MISSING: u32 = 6;
    const AVRO_COMMAND: u32 = 7;

    fn codec() -> Codec {
        let cache = SchemaCache::new();
        cache.insert(AVRO_TASK, WriterSchema::parse("AVRO", RecordKind::TaskSubmitted.schema_text()));
        cache.insert(AVRO_REPORT, WriterSchema::parse("AVRO", RecordKind::AgentReport.schema_text()));
        cache.insert(AVRO_COMMAND, WriterSchema::parse("AVRO", RecordKind::TaskCommand.schema_text()));
        cache.insert(JSON, WriterSchema::parse("JSON", "{}"));
        cache.insert(PROTOBUF, WriterSchema::parse("PROTOBUF", "syntax"));
        cache.insert(COMPLETION, WriterSchema::parse("AVRO", RecordKind::Completion.schema_text()));
        cache.insert_missing(MISSING);
        Codec::new("baton", [(RecordKind::TaskSubmitted, AVRO_TASK)], Arc::new(cache))
    }

    fn raw<'a>(key: Option<&'a str>, value: &'a [u8]) -> RawRecord<'a> {
        RawRecord {
            topic: "baton.tasks",
            partition: 3,
            offset: 42,
            timestamp_ms: 0,
            key: key.map(str::as_bytes),
            value: Some(value),
            arrived: None,
        }
    }

    fn task(key: Option<&str>, value: impl AsRef<[u8]>) -> Result<Ingress<TaskDraft>, Undecided> {
        codec().decode_task(&raw(key, value.as_ref()))
    }

    fn refused<D: std::fmt::Debug>(decoded: Result<Ingress<D>, Undecided>) -> Refusal {
        match decoded {
            Err(Undecided::Refused(refusal)) => refusal,
            other => panic!("{other:?} is not refused where it arrived"),
        }
    }

    /// The id it is judged under, and the refusal.
    fn refused_home(decoded: Result<Ingress<TaskDraft>, Undecided>) -> (String, Refusal) {
        let Ingress { task_id, draft } = decoded.unwrap();
        (task_id, draft.check(&LIMITS).unwrap_err())
    }

    fn report(value: &str) -> Result<CheckedReport, Refusal> {
        codec().decode_report(&raw(None, value.as_bytes())).unwrap().draft.check(&LIMITS)
    }

    use crate::contract::CheckedReport;

    const REPORT: &str = r#""taskId":"t","assignmentId":"t~0-1~1~1","agentName":"a""#;

    #[test]
    fn one_task_is_the_same_in_avro_json_and_json_behind_a_header() {
        let json = br#"{"taskId":"t","objective":"x","priority":7,"labels":{"a":"b"},"mode":"route"}"#;
        let behind = [&[0, 0, 0, 0, 3][..], json].concat();
        let (same, hash) = task(None, json).unwrap().draft.check(&LIMITS).unwrap();
        let avro = wire::encode(AVRO_TASK, &TaskSubmitted::from(&same));
        assert_eq!((&*same.id, same.mode), ("t", workflow::Mode::Route));
        for value in [
            &behind[..],
            &avro,
            b" \n{\"mode\":\"ROUTE\",\"labels\":{\"a\":\"b\"},\"taskId\":\"t\",\"objective\":\"x\",\"priority\":7}\n",
        ] {
            assert_eq!(task(Some("t"), value).unwrap().draft.check(&LIMITS), Ok((same.clone(), hash)));
        }
    }

    #[test]
    fn a_task_without_an_id_takes_its_key_and_without_both_where_it_arrived_first() {
        let value = br#"{"objective":"x"}"#;
        assert_eq!(task(Some("k-1"), value).unwrap().task_id, "k-1");
        let (made, _) = task(None, value).unwrap().draft.check(&LIMITS).unwrap();
        assert_eq!(made.id, "baton.tasks-3-42");
        assert_eq!(task(Some(""), value).unwrap().task_id, "baton.tasks-3-42");
        let at =
            |arrived| codec().decode_task(&RawRecord { arrived: Some(arrived), ..raw(None, value) }).unwrap().task_id;
        assert_eq!((at("5/7").as_str(), at("nonsense").as_str()), ("baton.tasks-5-7", "baton.tasks-3-42"));
    }

    #[test]
    fn a_key_that_is_not_the_id_is_refused_where_the_task_lives() {
        let (id, refusal) = refused_home(task(Some("other"), br#"{"taskId":"t","objective":"x"}"#));
        assert_eq!((id.as_str(), refusal.reason), ("t", Reason::Id));
        assert!(refusal.detail.contains("`other`") && refusal.detail.contains("`t`"), "{refusal}");
    }

    #[test]
    fn a_bad_id_is_refused_where_it_arrived() {
        assert_eq!(refused(task(None, br#"{"taskId":"a b","objective":"x"}"#)).reason, Reason::Id);
        assert_eq!(refused(task(Some("a/b"), br#"{"objective":"x"}"#)).reason, Reason::Id);
        assert_eq!(refused(task(Some("t"), br#"{"taskId":7,"objective":"x"}"#)).reason, Reason::Invalid);
        let twice = br#"{"taskId":"a","taskId":"b","objective":"x"}"#;
        assert!(refused(task(None, twice)).detail.contains("taskId: given twice"));
    }

    #[test]
    fn the_id_is_read_before_anything_else_is_judged() {
        for wrong in [r#""objective":"x","prio":1"#, r#""objective":7"#, r#""input":1"#] {
            let (id, refusal) = refused_home(task(None, format!(r#"{{"taskId":"t",{wrong}}}"#)));
            assert_eq!((id.as_str(), refusal.reason), ("t", Reason::Invalid), "{wrong}");
        }
        let completion = Completion {
            task_id: "t".into(),
            run: 1,
            outcome: Outcome::Failed,
            reason: String::new(),
            message: String::new(),
            result: None,
            steps: Vec::new(),
            hops: 0,
            usage: crate::contract::Usage::default(),
            correlation_id: None,
            submitted_at: None,
            completed_at: 0,
        };
        let (id, refusal) = refused_home(task(None, wire::encode(COMPLETION, &completion)));
        assert_eq!((id.as_str(), refusal.reason), ("t", Reason::Invalid));
        assert!(refusal.detail.starts_with("not a TaskSubmitted"), "{refusal}");
    }

    #[test]
    fn bytes_that_are_no_record_are_undecodable() {
        let cut = wire::encode(AVRO_TASK, &TaskSubmitted::new("x"));
        let longer = [&cut[..], b"x"].concat();
        for bytes in [&b""[..], b"hello", b"\0\0", b"{\"objective\":", b"{\xff}", &cut[..cut.len() - 1], &longer] {
            assert_eq!(refused(task(Some("t"), bytes)).reason, Reason::Undecodable, "{bytes:?}");
        }
    }

    #[test]
    fn an_id_that_is_not_known_yet_is_asked_for_and_one_that_does_not_exist_is_refused() {
        assert_eq!(task(None, [0, 0, 0, 0, 99, 1]), Err(Undecided::NeedsSchema(99)));
        assert_eq!(refused(task(None, [0, 0, 0, 0, 6, 1])).reason, Reason::UnknownSchema);
        let refusal = refused(task(None, [0, 0, 0, 0, 4, 1]));
        assert!(refusal.reason == Reason::UnknownSchema && refusal.detail.contains("PROTOBUF"), "{refusal}");
    }

    #[test]
    fn a_null_value_is_invalid() {
        let refusal = refused(codec().decode_task(&RawRecord { value: None, ..raw(Some("t"), b"") }));
        assert_eq!(refusal.reason, Reason::Invalid);
        let refusal = refused(codec().decode_report(&RawRecord { value: None, ..raw(Some("t"), b"") }));
        assert_eq!(refusal.reason, Reason::Invalid);
    }

    #[test]
    fn values_out_of_bounds_are_refused_all_at_once() {
        let value =
            br#"{"taskId":"t","objective":" ","priority":10,"mode":"UNKNOWN","agents":[""],"inputContract":"{x",
            "limits":{"maxHops":0},"plan":[{"stepId":"a:b","objective":"y","timeoutMs":0}]}"#;
        let (_, refusal) = refused_home(task(None, value));
        for path in [
            "objective",
            "priority",
            "mode",
            "agents",
            "inputContract",
            "limits.maxHops",
            "plan[0].stepId",
            "plan[0].timeoutMs",
        ] {
            assert!(refusal.detail.contains(&format!("{path}: ")), "{path} in {refusal}");
        }
    }

    #[test]
    fn a_symbol_of_a_later_version_is_refused_where_it_is_acted_on() {
        let later =
            TaskSubmitted { mode: crate::contract::Mode::Unknown, task_id: "t".into(), ..TaskSubmitted::new("x") };
        let (_, refusal) = refused_home(task(None, wire::encode(AVRO_TASK, &later)));
        assert!(refusal.reason == Reason::Invalid && refusal.detail.starts_with("mode: "), "{refusal}");
    }

    #[test]
    fn a_payload_at_the_limit_is_taken_and_one_byte_more_is_not() {
        let with =
            |bytes: usize| task(None, format!(r#"{{"objective":"x","taskId":"t","input":"{}"}}"#, "x".repeat(bytes)));
        assert!(with(64).unwrap().draft.check(&LIMITS).is_ok());
        let (_, refusal) = refused_home(with(65));
        assert!(refusal.reason == Reason::TooLarge && refusal.detail.starts_with("input: 65 bytes"), "{refusal}");
    }

    #[test]
    fn the_contract_to_resolve_is_the_name_and_not_an_inline_schema() {
        let draft =
            |contract: &str| task(None, format!(r#"{{"objective":"x","inputContract":{contract}}}"#)).unwrap().draft;
        let names = |contract| draft(contract).contract_names().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(names(r#""lead""#), ["lead"]);
        assert_eq!(names(r#""{\"type\":\"object\"}""#), [""; 0]);
        assert_eq!(names("null"), [""; 0]);
        let plan = r#"null,"plan":[{"stepId":"a","objective":"o","inputContract":"x","outputContract":"y"}]"#;
        assert_eq!(names(plan), ["x", "y"]);
    }

    #[test]
    fn a_report_needs_little_and_counts_without_numbers_that_cannot_be() {
        let checked = report(&format!(
            r#"{{{REPORT},"status":"failed","progress":1.5,"error":{{"class":"rate_limited","retryAfterMs":-1}},
                "usage":{{"inputTokens":-5,"outputTokens":7}}}}"#
        ))
        .unwrap()
        .report;
        assert_eq!((checked.status, checked.progress), (workflow::ReportStatus::Failed, None));
        assert_eq!(checked.usage, Some(workflow::Usage { input_tokens: 0, output_tokens: 7, cost_micros: 0 }));
        let error = checked.error.unwrap();
        assert_eq!((error.class, error.retry_after_ms), (workflow::ErrorClass::RateLimited, None));
    }

    #[test]
    fn an_output_over_the_limit_is_dropped_and_said() {
        let with =
            |bytes: usize| report(&format!(r#"{{{REPORT},"status":"SUCCEEDED","output":"{}"}}"#, "x".repeat(bytes)));
        assert_eq!(with(64).unwrap().too_large, None);
        let over = with(65).unwrap();
        assert!(over.report.output.is_none() && over.too_large.unwrap().starts_with("output: 65 bytes"));
    }

    #[test]
    fn numbers_that_cannot_be_are_dropped_and_told_and_the_report_counts() {
        let odd = r#""progress":7,"usage":{"inputTokens":-5,"outputTokens":3,"costMicros":-1},"error":{"class":"TRANSIENT","message":"m","retryAfterMs":-9}"#;
        let checked = report(&format!(r#"{{{REPORT},"status":"FAILED",{odd}}}"#)).unwrap();
        let usage = checked.report.usage.unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens, usage.cost_micros), (0, 3, 0));
        assert_eq!((checked.report.progress, checked.report.error.unwrap().retry_after_ms), (None, None));
        let told = [
            "progress 7 is not between 0 and 1",
            "usage.inputTokens -5 is negative",
            "usage.costMicros -1 is negative",
            "error.retryAfterMs -9 is negative",
        ];
        assert_eq!(checked.nonsense, told);
        let mut nan = AgentReport::new("t", "t~0-1~1~1", "a", crate::contract::ReportStatus::Progress);
        nan.progress = Some(f64::NAN);
        let nan = codec().decode_report(&raw(Some("t"), &wire::encode(AVRO_REPORT, &nan))).unwrap();
        let nan = nan.draft.check(&LIMITS).unwrap();
        assert_eq!((nan.report.progress, nan.nonsense), (None, vec!["progress NaN is not between 0 and 1".to_owned()]));
        let sound = report(&format!(r#"{{{REPORT},"status":"PROGRESS","progress":1.0}}"#)).unwrap();
        assert_eq!((sound.report.progress, sound.nonsense), (Some(1.0), vec![]));
    }

    #[test]
    fn a_status_or_class_of_a_later_version() {
        let mut later = AgentReport::new("t", "t~0-1~1~1", "a", crate::contract::ReportStatus::Failed);
        later.error =
            Some(crate::contract::ReportError { class: crate::contract::ErrorClass::Unknown, ..Default::default() });
        let check = |report: &AgentReport| {
            let value = wire::encode(AVRO_REPORT, report);
            codec().decode_report(&raw(Some("t"), &value)).unwrap().draft.check(&LIMITS)
        };
        assert_eq!(check(&later).unwrap().report.error.unwrap().class, workflow::ErrorClass::Transient);
        later.status = crate::contract::ReportStatus::Unknown;
        assert!(check(&later).unwrap_err().detail.starts_with("status: "));
        assert!(report(&format!(r#"{{{REPORT},"status":"DONE"}}"#)).unwrap_err().detail.contains("one of ACCEPTED"));
    }

    #[test]
    fn a_report_without_a_task_id_is_judged_where_it_arrived_and_another_key_is_refused() {
        let value = br#"{"assignmentId":"x","agentName":"a","status":"ACCEPTED"}"#;
        assert!(refused(codec().decode_report(&raw(Some("t"), value))).detail.contains("taskId: missing"));
        let value = format!(r#"{{{REPORT},"status":"ACCEPTED"}}"#);
        let other = codec().decode_report(&raw(Some("u"), value.as_bytes())).unwrap();
        assert_eq!(other.draft.check(&LIMITS).unwrap_err().reason, Reason::Id);
    }

    fn command(value: &str) -> Result<workflow::Command, Refusal> {
        codec().decode_command(&raw(None, value.as_bytes())).unwrap().draft.check(&LIMITS)
    }

    #[test]
    fn one_command_is_the_same_in_avro_and_json() {
        let json =
            r#"{"commandId":"c-1","taskId":"t","command":"answer","stepId":"1","value":{"ok":true},"actor":"me"}"#;
        let read = command(json).unwrap();
        assert_eq!((read.kind, read.value.as_ref().unwrap().text()), (workflow::CommandKind::Answer, r#"{"ok":true}"#));
        let avro = TaskCommand {
            command_id: Some("c-1".into()),
            step_id: Some("1".into()),
            value: Some(r#"{"ok":true}"#.into()),
            actor: Some("me".into()),
            ..TaskCommand::new("t", crate::contract::CommandType::Answer)
        };
        let avro = wire::encode(AVRO_COMMAND, &avro);
        let of = |key, value| codec().decode_command(&raw(key, value)).unwrap();
        assert_eq!(of(Some("t"), &avro).draft.check(&LIMITS), Ok(read));
        assert_eq!(of(Some("u"), &avro).draft.check(&LIMITS).unwrap_err().reason, Reason::Id);
    }

    #[test]
    fn a_command_without_a_task_id_is_judged_where_it_arrived() {
        let of = |key, value: &str| refused(codec().decode_command(&raw(key, value.as_bytes())));
        assert!(of(Some("t"), r#"{"command":"CANCEL"}"#).detail.contains("taskId: missing"));
        assert_eq!(of(None, r#"{"command":"CANCEL","taskId":"a b"}"#).reason, Reason::Id);
        let null = codec().decode_command(&RawRecord { value: None, ..raw(Some("t"), b"") });
        assert_eq!(refused(null).reason, Reason::Invalid);
    }

    #[test]
    fn a_command_takes_the_fields_it_looks_at_and_no_others() {
        let of = |rest: &str| command(&format!(r#"{{"taskId":"t",{rest}}}"#)).map_err(|refusal| refusal.detail);
        for fine in [
            r#""command":"CANCEL","reason":"no longer needed""#,
            r#""command":"retry","stepId":"1""#,
            r#""command":"APPROVE""#,
            r#""command":"REASSIGN","agentName":"Scorer""#,
            r#""command":"REASSIGN","stepId":"1""#,
            r#""command":"ANSWER","value":"""#,
        ] {
            assert!(of(fine).is_ok(), "{fine}: {:?}", of(fine));
        }
        for (wrong, fault) in [
            (r#""command":"CANCEL","stepId":"1""#, "stepId: CANCEL is of the whole task"),
            (r#""command":"APPROVE","value":1"#, "value: APPROVE takes none"),
            (r#""command":"RETRY","agentName":"a""#, "agentName: RETRY takes none"),
            (r#""command":"REASSIGN","agentName":" ""#, "agentName: empty"),
            (r#""command":"ANSWER","value":null"#, "value: missing"),
            (r#""command":"ANSWER","value":1,"stepId":"a:b""#, "stepId: `a:b` is not a step id"),
            (r#""command":"PAUSE","commandId":"""#, "commandId: `` is not a command id"),
            (r#""command":"STOP""#, "one of CANCEL, PAUSE"),
            (r#""command":"UNKNOWN""#, "command: not one this version knows"),
            (r#""command":"PAUSE","why":"x""#, "why: unknown field"),
        ] {
            assert!(of(wrong).unwrap_err().contains(fault), "{wrong}: {:?}", of(wrong));
        }
        let long = "x".repeat(5000);
        let said = of(&format!(r#""command":"PAUSE","actor":"{long}","reason":"{long}""#)).unwrap_err();
        assert!(said.contains("actor: 5000 bytes are too many") && said.contains("reason: "), "{said}");
    }

    #[test]
    fn an_answer_at_the_limit_is_taken_and_one_byte_more_is_not() {
        let with =
            |bytes: usize| command(&format!(r#"{{"taskId":"t","command":"ANSWER","value":"{}"}}"#, "x".repeat(bytes)));
        assert!(with(64).is_ok());
        assert_eq!(with(65).unwrap_err().reason, Reason::TooLarge);
    }
}
