//! The paths of the API, and what each is answered with.

use super::Shared;
use super::answer::{Answer, Refusal};
use super::request::{self, Flags, MAX_BODY, SchemaRequest, VersionRef};
use super::schema::Schema;
use super::state::{Found, Shown, State};
use super::words::{Kind, Level, Mode};
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

type Answered = Result<Answer, Refusal>;
type Body = Result<Bytes, BytesRejection>;
type Shares = axum::extract::State<Shared>;
/// What cannot be read as parameters counts as none.
type Asked = Result<Query<Flags>, QueryRejection>;

pub(super) fn router(shared: Shared) -> Router {
    Router::new()
        .route("/", get(|| async { Answer::Json(json!({})) }))
        .route("/subjects", get(subjects))
        .route("/subjects/{subject}", post(look_up).delete(delete_subject))
        .route("/subjects/{subject}/versions", get(versions).post(register))
        .route("/subjects/{subject}/versions/{version}", get(version).delete(delete_version))
        .route("/subjects/{subject}/versions/{version}/schema", get(version_text))
        .route("/subjects/{subject}/versions/{version}/referencedby", get(referenced_by))
        .route("/schemas", get(schemas))
        .route("/schemas/types", get(|| async { Answer::Json(json!(Kind::ALL)) }))
        .route("/schemas/ids/{id}", get(schema))
        .route("/schemas/ids/{id}/schema", get(schema_text))
        .route("/schemas/ids/{id}/subjects", get(schema_subjects))
        .route("/schemas/ids/{id}/versions", get(schema_versions))
        .route("/config", get(level).put(set_level).delete(unset_level))
        .route("/config/{subject}", get(level).put(set_level).delete(unset_level))
        .route("/mode", get(mode).put(set_mode).delete(unset_mode))
        .route("/mode/{subject}", get(mode).put(set_mode).delete(unset_mode))
        .route("/compatibility/subjects/{subject}/versions", post(compatibility))
        .route("/compatibility/subjects/{subject}/versions/{version}", post(compatibility_with))
        .fallback(|| async { Refusal::no_such_path() })
        .method_not_allowed_fallback(|| async { Refusal::new(405, "HTTP 405 Method Not Allowed") })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(shared)
}

impl Shared {
    async fn ask<T>(&self, question: impl FnOnce(&State) -> T) -> T {
        question(&self.0.read().await.state)
    }

    /// Makes a change on a copy, keeps it, and only then lets it be seen.
    async fn change<T>(&self, change: impl FnOnce(&mut State) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let mut kept = self.0.write().await;
        let mut next = kept.state.clone();
        let result = change(&mut next)?;
        if next.is_as(&kept.state) {
            return Ok(result);
        }
        if let Some(store) = &kept.store {
            store.write(&next).await.map_err(|error| {
                tracing::error!(path = %store.path().display(), %error, "the schema registry's file cannot be written");
                Refusal::new(50001, format!("the change could not be kept and was not made: {error}"))
            })?;
        }
        kept.state = next;
        Ok(result)
    }
}

fn flags(asked: Asked) -> Flags {
    asked.map(|Query(flags)| flags).unwrap_or_default()
}

fn shown(flags: &Flags) -> Shown {
    match (flags.is_set("deletedOnly"), flags.is_set("deleted")) {
        (true, _) => Shown::Deleted,
        (false, true) => Shown::All,
        (false, false) => Shown::Live,
    }
}

/// What a prefix selects; the wildcard of contexts, of which there is one, is none.
fn prefix(flags: &Flags) -> &str {
    let prefix = flags.text("subjectPrefix").unwrap_or_default();
    prefix.strip_prefix(":*:").unwrap_or(prefix)
}

/// A schema's part of an answer.
fn described(schema: &Schema) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("schema".to_owned(), json!(schema.text));
    if schema.kind != Kind::Avro {
        object.insert("schemaType".to_owned(), json!(schema.kind));
    }
    if !schema.references.is_empty() {
        object.insert("references".to_owned(), json!(schema.references));
    }
    object
}

fn version_object(found: &Found<'_>) -> Value {
    let mut object = described(found.schema);
    object.insert("subject".to_owned(), json!(found.subject));
    object.insert("version".to_owned(), json!(found.number));
    object.insert("id".to_owned(), json!(found.version.id));
    if found.version.deleted {
        object.insert("deleted".to_owned(), json!(true));
    }
    Value::Object(object)
}

async fn subjects(shares: Shares, asked: Asked) -> Answered {
    let flags = flags(asked);
    let names: BTreeSet<String> = shares
        .ask(|state| {
            let all = state.all(shown(&flags)).filter(|found| found.subject.starts_with(prefix(&flags)));
            all.map(|found| found.subject.to_owned()).collect()
        })
        .await;
    Ok(Answer::Json(json!(flags.page(names)?)))
}

async fn look_up(shares: Shares, Path(subject): Path<String>, asked: Asked, body: Body) -> Answered {
    let wanted = request::body::<SchemaRequest>(body)?.wanted()?;
    let flags = flags(asked);
    let find = |state: &State| {
        let versions = state.versions(&subject, shown(&flags));
        if versions.is_empty() {
            return Err(Refusal::no_subject(&subject));
        }
        let schema = state.check(wanted)?;
        let found = versions.iter().rev().find(|found| found.schema.is_same(&schema));
        found.map(version_object).map(Answer::Json).ok_or_else(Refusal::no_schema)
    };
    shares.ask(find).await
}

async fn delete_subject(shares: Shares, Path(subject): Path<String>, asked: Asked) -> Answered {
    let permanent = flags(asked).is_set("permanent");
    let numbers = shares.change(|state| state.delete_subject(&subject, permanent)).await?;
    Ok(Answer::Json(json!(numbers)))
}

async fn versions(shares: Shares, Path(subject): Path<String>, asked: Asked) -> Answered {
    let flags = flags(asked);
    let shown = shown(&flags);
    let numbers: Vec<u32> =
        shares.ask(|state| state.versions(&subject, shown).iter().map(|found| found.number).collect()).await;
    if numbers.is_empty() {
        return Err(Refusal::no_subject(&subject));
    }
    Ok(Answer::Json(json!(flags.page(numbers)?)))
}

async fn register(shares: Shares, Path(subject): Path<String>, body: Body) -> Answered {
    let request: SchemaRequest = request::body(body)?;
    let registered = |state: &mut State| {
        let (id, number) = state.register(&subject, &request)?;
        let schema = state.schema(id).ok_or_else(|| Refusal::no_schema_of(id))?;
        let mut object = described(schema);
        object.insert("id".to_owned(), json!(id));
        object.insert("version".to_owned(), json!(number));
        Ok(Answer::Json(Value::Object(object)))
    };
    shares.change(registered).await
}

/// Asks about one version that a path names.
async fn about<T>(
    shares: Shares,
    (subject, version): (String, String),
    shown: Shown,
    answer: impl FnOnce(&State, Found<'_>) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let wanted = VersionRef::read(&version)?;
    shares.ask(|state| answer(state, state.version(&subject, wanted, shown)?)).await
}

async fn version(shares: Shares, path: Path<(String, String)>, asked: Asked) -> Answered {
    about(shares, path.0, shown(&flags(asked)), |_, found| Ok(Answer::Json(version_object(&found)))).await
}

async fn version_text(shares: Shares, path: Path<(String, String)>, asked: Asked) -> Answered {
    about(shares, path.0, shown(&flags(asked)), |_, found| Ok(Answer::Text(found.schema.text.clone()))).await
}

async fn referenced_by(shares: Shares, path: Path<(String, String)>, asked: Asked) -> Answered {
    let flags = flags(asked);
    let shown = shown(&flags);
    about(shares, path.0, Shown::All, |state, found| {
        let referrers = state.referrers(found.subject, found.number, shown);
        let ids: BTreeSet<u32> = referrers.iter().map(|referrer| referrer.version.id).collect();
        Ok(Answer::Json(json!(flags.page(ids)?)))
    })
    .await
}

async fn delete_version(shares: Shares, Path((subject, version)): Path<(String, String)>, asked: Asked) -> Answered {
    let wanted = VersionRef::read(&version)?;
    let permanent = flags(asked).is_set("permanent");
    let number = shares.change(|state| state.delete_version(&subject, wanted, permanent)).await?;
    Ok(Answer::Json(json!(number)))
}

async fn schemas(shares: Shares, asked: Asked) -> Answered {
    let flags = flags(asked);
    let latest_only = flags.is_set("latestOnly");
    let list = |state: &State| {
        let shown = shown(&flags);
        let all = state.all(shown).filter(|found| found.subject.starts_with(prefix(&flags)));
        let is_latest = |found: &Found<'_>| {
            !latest_only || state.versions(found.subject, shown).last().is_some_and(|last| last.number == found.number)
        };
        flags.page(all.filter(is_latest).map(|found| version_object(&found)))
    };
    Ok(Answer::Json(json!(shares.ask(list).await?)))
}

async fn schema(shares: Shares, Path(id): Path<String>, asked: Asked) -> Answered {
    let id = request::id(&id)?;
    let with_max = flags(asked).is_set("fetchMaxId");
    shares
        .ask(|state| {
            let mut object = described(state.schema(id).ok_or_else(|| Refusal::no_schema_of(id))?);
            if with_max {
                object.insert("maxId".to_owned(), json!(state.last_id));
            }
            Ok(Answer::Json(Value::Object(object)))
        })
        .await
}

async fn schema_text(shares: Shares, Path(id): Path<String>) -> Answered {
    let id = request::id(&id)?;
    let text = shares.ask(|state| state.schema(id).map(|schema| schema.text.clone())).await;
    text.map(Answer::Text).ok_or_else(|| Refusal::no_schema_of(id))
}

/// Asks where a schema is used.
async fn uses<T>(shares: Shares, id: &str, shown: Shown, each: impl Fn(Found<'_>) -> T) -> Result<Vec<T>, Refusal> {
    let id = request::id(id)?;
    shares
        .ask(|state| {
            state.schema(id).ok_or_else(Refusal::no_schema)?;
            Ok(state.all(shown).filter(|found| found.version.id == id).map(each).collect())
        })
        .await
}

async fn schema_subjects(shares: Shares, Path(id): Path<String>, asked: Asked) -> Answered {
    let flags = flags(asked);
    let names = uses(shares, &id, shown(&flags), |found| found.subject.to_owned()).await?;
    Ok(Answer::Json(json!(flags.page(BTreeSet::from_iter(names))?)))
}

async fn schema_versions(shares: Shares, Path(id): Path<String>, asked: Asked) -> Answered {
    let flags = flags(asked);
    let all =
        uses(shares, &id, shown(&flags), |found| json!({"subject": found.subject, "version": found.number})).await?;
    Ok(Answer::Json(json!(flags.page(all)?)))
}

/// A path's subject, of none where it is about all.
fn about_subject(path: Option<Path<String>>) -> Option<String> {
    path.map(|Path(subject)| subject)
}

async fn level(shares: Shares, path: Option<Path<String>>, asked: Asked) -> Answered {
    let to_global = flags(asked).is_set("defaultToGlobal");
    let level = shares
        .ask(|state| match about_subject(path) {
            None => Ok(state.level("")),
            Some(subject) => match state.levels.get(&Some(subject.clone())) {
                Some(level) => Ok(*level),
                None if to_global => Ok(state.level(&subject)),
                None => Err(Refusal::no_own_level(&subject)),
            },
        })
        .await?;
    Ok(Answer::Json(json!({ "compatibilityLevel": level })))
}

/// `normalize` is taken because it always holds here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LevelRequest {
    compatibility: String,
    #[serde(default, rename = "normalize")]
    _normalize: Option<bool>,
}

async fn set_level(shares: Shares, path: Option<Path<String>>, body: Body) -> Answered {
    let mut asked: Map<String, Value> = request::body(body)?;
    // Clients name what they do not set.
    asked.retain(|_, value| !value.is_null());
    let LevelRequest { compatibility, .. } = serde_json::from_value(Value::Object(asked)).map_err(|error| {
        Refusal::new(422, format!("this registry's configuration is a level of compatibility: {error}"))
    })?;
    let level: Level = serde_json::from_value(json!(compatibility.to_uppercase())).map_err(|_| {
        let why = "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, \
                   forward_transitive, and full_transitive";
        Refusal::new(42203, why)
    })?;
    shares.change(|state| state.set_level(about_subject(path).as_deref(), level)).await?;
    Ok(Answer::Json(json!({ "compatibility": level })))
}

async fn unset_level(shares: Shares, path: Option<Path<String>>) -> Answered {
    let level = shares.change(|state| state.unset_level(about_subject(path).as_deref())).await?;
    Ok(Answer::Json(json!({ "compatibilityLevel": level })))
}

async fn mode(shares: Shares, path: Option<Path<String>>, asked: Asked) -> Answered {
    let to_global = flags(asked).is_set("defaultToGlobal");
    let mode = shares
        .ask(|state| match about_subject(path) {
            None => Ok(state.mode(None)),
            Some(subject) => match state.modes.get(&Some(subject.clone())) {
                Some(mode) => Ok(*mode),
                None if to_global => Ok(state.mode(Some(&subject))),
                None => Err(Refusal::no_own_mode(&subject)),
            },
        })
        .await?;
    Ok(Answer::Json(json!({ "mode": mode })))
}

#[derive(Deserialize)]
struct ModeRequest {
    mode: String,
}

async fn set_mode(shares: Shares, path: Option<Path<String>>, asked: Asked, body: Body) -> Answered {
    let ModeRequest { mode } = request::body(body)?;
    let mode: Mode = serde_json::from_value(json!(mode.to_uppercase()))
        .map_err(|_| Refusal::new(42204, "Invalid mode. Valid values are READWRITE, READONLY and IMPORT"))?;
    let force = flags(asked).is_set("force");
    shares.change(|state| state.set_mode(about_subject(path).as_deref(), mode, force)).await?;
    Ok(Answer::Json(json!({ "mode": mode })))
}

async fn unset_mode(shares: Shares, path: Option<Path<String>>) -> Answered {
    let mode = shares.change(|state| state.unset_mode(about_subject(path).as_deref())).await?;
    Ok(Answer::Json(json!({ "mode": mode })))
}

async fn compatibility(shares: Shares, Path(subject): Path<String>, asked: Asked, body: Body) -> Answered {
    let request: SchemaRequest = request::body(body)?;
    checked(&flags(asked), shares.ask(|state| obstacles(state, &subject, &request, None)).await)
}

async fn compatibility_with(
    shares: Shares,
    Path((subject, version)): Path<(String, String)>,
    asked: Asked,
    body: Body,
) -> Answered {
    let request: SchemaRequest = request::body(body)?;
    let with = VersionRef::read(&version)?;
    checked(&flags(asked), shares.ask(|state| obstacles(state, &subject, &request, Some(with))).await)
}

/// Why a schema cannot follow one version of a subject, or those its level asks for. Where there is no version at all,
/// anything goes, but a version that is asked for by its number has to be there.
fn obstacles(
    state: &State,
    subject: &str,
    request: &SchemaRequest,
    with: Option<VersionRef>,
) -> Result<Vec<String>, Refusal> {
    let before = match with {
        None => state.versions(subject, Shown::Live),
        Some(VersionRef::Latest) => state.version(subject, VersionRef::Latest, Shown::Live).into_iter().collect(),
        Some(with @ VersionRef::Number(_)) => vec![state.version(subject, with, Shown::Live)?],
    };
    let schema = state.check(request.wanted()?)?;
    Ok(state.obstacles(subject, &schema, &before))
}

fn checked(flags: &Flags, obstacles: Result<Vec<String>, Refusal>) -> Answered {
    let verbose = flags.is_set("verbose");
    let found = match obstacles {
        // To the real one an unsound schema is one more that does not go with the others, if reasons are asked for.
        Err(refusal) if verbose && refusal.is_invalid_schema() => vec![refusal.message()],
        other => other?,
    };
    let mut answer = json!({ "is_compatible": found.is_empty() });
    if verbose {
        answer["messages"] = json!(found);
    }
    Ok(Answer::Json(answer))
}
