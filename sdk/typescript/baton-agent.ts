/**
 * Agents for Baton in TypeScript: a function becomes an agent that takes assignments from Kafka and reports.
 *
 *     const definition = { agentName: "Word Counter", description: "Counts the words of a text." };
 *     const agent = new Agent<string>(definition, (work) => ({ words: work.input.split(/\s+/).length }));
 *     await agent.run(); // until SIGTERM or SIGINT
 *
 * What the handler returns is the output; what it throws (`Transient`, `Declined` …) says what went wrong. No work is
 * lost: an offset is committed only when the brokers have the report. An agent killed in between gets the assignment
 * again with the same `work.effectKey`: side effects go under that key. Brokers and registry may be away at any time:
 * the agent says so, waits and goes on. What computes for seconds without awaiting goes into a worker thread, for the
 * group's heartbeats. `TestAgent` runs a handler without Kafka.
 */
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import { Consumer, FetchIsolationLevels, IS_CONTROL, ListOffsetTimestamps, Producer, compatibilityPartitioner, fetchV12,
  stringSerializers, type BaseOptions, type GroupOptions, type KafkaRecord } from "@platformatic/kafka";
import avro from "avsc";

const KEPT = 1_000; // assignments of which the answer or the withdrawal is remembered
const HELD = 10_000, BYTES = 1 << 20; // deliveries that are not committed yet; a fetch from one partition
const POLL_MS = 200, RETRY_MS = 1_000, BEAT_MS = 10_000; // between two commits, tries, signs of life

/** A definition; its other fields are in docs/agents.md. */
export type Definition = { agentName: string; description: string; version?: string; [key: string]: unknown };
/** Fields as in docs/agents.md; times in epoch milliseconds, input and outputs as text. */
export type Assignment = {
  assignmentId: string; taskId: string; stepId: string; attempt: number; agentName: string; effectKey: string;
  objective: string; input?: string | null; context?: { stepId: string; agentName: string; output: string }[];
  attemptDeadline?: number | null; taskDeadline?: number | null; [field: string]: unknown };
/** What work has cost; money in millionths of the currency in use. */
export type Usage = { inputTokens: number; outputTokens: number; costMicros: number };
export type Report = {
  taskId: string; assignmentId: string; agentName: string; status: string; output?: unknown; usage?: Usage;
  error?: { class: string; code?: string; message: string; retryAfterMs?: number };
  progress?: number; message?: string };
export interface Options {
  concurrency?: number; // assignments worked on at once; default 1
  bootstrap?: string; // several with commas; default the environment's BOOTSTRAP, else localhost:9092
  registry?: string; // may hold user:password@; default REGISTRY, else http://localhost:8081
  prefix?: string; // of topics and groups; default PREFIX, else baton
  client?: Partial<Settings>; // more settings of @platformatic/kafka (tls, sasl …); default CLIENT, as JSON
  register?: boolean; // false where `baton agents register` does it; default true
  grace?: number; // seconds for what is in hand when told to stop; default 30
  log?: (line: string) => void; // default console.error
}
type Settings = BaseOptions & GroupOptions & { groupId: string };
type Incoming = KafkaRecord & { topic: string; partition: number; offset: bigint };

/** The work failed, in the way its class says. `code` is the agent's own; `retryAfter` is in seconds. */
export class Failure extends Error {
  errorClass = "TRANSIENT";
  constructor(message = "", readonly more: { code?: string; retryAfter?: number } = {}) { super(message); }
}
export class Transient extends Failure {} // another try might work; so too any other error
export class RateLimited extends Failure { errorClass = "RATE_LIMITED"; } // told to wait: `retryAfter`
export class Timeout extends Failure { errorClass = "TIMEOUT"; } // no answer in time; so too a TimeoutError
export class InvalidOutput extends Failure { errorClass = "INVALID_OUTPUT"; } // not what was asked for
export class Contract extends Failure { errorClass = "CONTRACT"; } // the input breaks the agent's contract
export class Auth extends Failure { errorClass = "AUTH"; } // the agent's credentials were refused
export class Permanent extends Failure { errorClass = "PERMANENT"; } // no further try will help
export class Declined extends Error { status = "DECLINED"; } // give it to another agent; the message says why
export class InputRequired extends Error { status = "INPUT_REQUIRED"; } // of a person; the message says what
export class Withdrawn extends Error {} // nobody waits any more: the reason of `work.signal`

/** One assignment under way: what the handler is given. `I`: the shape of its input, which nobody checks. */
export class Work<I = unknown> {
  readonly objective: string; readonly effectKey: string; // the same for every attempt at the step
  readonly input: I; // text where the agent's input format is text/* (the default), else the JSON's value
  readonly context: { stepId: string; agentName: string; output: unknown }[]; // earlier steps
  readonly deadline: Date | undefined; // an answer after it changes nothing
  readonly abort = new AbortController();
  readonly signal: AbortSignal = this.abort.signal; // aborted when nobody waits any more; nothing is reported then
  #usage: Usage | undefined;
  /** @internal */ constructor(readonly assignment: Assignment, text: boolean, readonly say: (word: Report) => void,
    readonly traceparent?: string) {
    ({ objective: this.objective, effectKey: this.effectKey } = assignment);
    this.input = (text ? assignment.input ?? null : parsed(assignment.input)) as I;
    this.context = (assignment.context ?? []).map((step) => ({ ...step, output: parsed(step.output) }));
    const end = Math.min(assignment.attemptDeadline ?? Infinity, assignment.taskDeadline ?? Infinity);
    this.deadline = end < Infinity ? new Date(end) : undefined;
  }
  /** Says how far the work is (0 to 1). The wait for the next word begins anew, the deadline stays. */
  progress(share: number, message = ""): void {
    this.say(this.report("PROGRESS", { progress: Math.min(Math.max(share, 0), 1), message }));
  }
  /** Adds to what the work has cost; the sum goes into the report, however the work ends. */
  used(more: Partial<Usage>): void {
    const sum = (key: keyof Usage) => (this.#usage?.[key] ?? 0) + (more[key] ?? 0);
    this.#usage = { inputTokens: sum("inputTokens"), outputTokens: sum("outputTokens"), costMicros: sum("costMicros") };
  }
  /** @internal */ report(status: string, said: Partial<Report> = {}): Report {
    const { taskId, assignmentId, agentName } = this.assignment;
    return { taskId, assignmentId, agentName, status, ...said, ...(this.#usage && { usage: this.#usage }) };
  }
}

/** An agent: its definition and the handler, which does the work, at once or later: it returns the output or throws. */
export class Agent<I = unknown> {
  readonly topicName: string; readonly format: { text: boolean; json: boolean }; // of input and output
  readonly #set: Required<Options>; readonly #client: Settings;
  readonly #producer: Producer<string, string, string, string>; readonly #schemas = new Map<number, avro.Type>();
  readonly #stop = new AbortController(); readonly #over = new AbortController(); // told to stop; has stopped
  readonly #jobs = new Set<Promise<void>>(); // under way
  readonly #known = new Map<string, { abort: AbortController; report: Promise<Report | null> }>(); // the oldest first
  #taken = new Set<{ partition: number; offset: bigint; settled: boolean }>(); // of what is ours, and not committed
  constructor(readonly definition: Definition, readonly handler: (work: Work<I>) => unknown, options: Options = {}) {
    const { BOOTSTRAP, REGISTRY, PREFIX, CLIENT } = process.env;
    this.topicName = topicName(definition);
    const format = (side: any) => String(side?.format ?? "text/plain").toLowerCase(), { input, output } = definition;
    this.format = { text: format(input).startsWith("text/"), json: format(output) === "application/json" };
    const { bootstrap, client, concurrency, prefix } = this.#set = { bootstrap: BOOTSTRAP ?? "localhost:9092",
      registry: REGISTRY ?? "http://localhost:8081", prefix: PREFIX ?? "baton", client: JSON.parse(CLIENT ?? "{}"),
      concurrency: 1, register: true, grace: 30, log: console.error, ...options };
    if (!(concurrency >= 1)) throw new RangeError(`concurrency is ${concurrency}: at least 1 is needed`);
    // Tries are repeated here: the client's own would join the group anew and then commit what it has lost.
    this.#client = { clientId: `${hostname()}-${process.pid}`, sessionTimeout: 10_000, rebalanceTimeout: 20_000,
      heartbeatInterval: 2_000, protocols: ["range", "roundrobin"].map((name) => ({ name, version: 0 })), ...client,
      bootstrapBrokers: bootstrap.split(","), groupId: `${prefix}.agent.${this.topicName}`, retries: 0 };
    this.#producer = new Producer({ ...this.#client, partitioner: compatibilityPartitioner, // as Kafka's own in Java
      serializers: stringSerializers });
  }
  /** As SIGTERM: take nothing more, finish what is in hand, report, commit, leave; then `run` returns. */
  stop(): void { this.#stop.abort(); }
  /** Registers the agent and works until told to stop. */
  async run(): Promise<void> {
    const stop = () => this.stop(), drained = this.#drained(), beats = setInterval(() => void this.#beat(), BEAT_MS);
    process.once("SIGTERM", stop).once("SIGINT", stop); // a second one ends the process at once
    if (this.#set.register)
      await this.#until("not registered (`baton apply` makes the topic)",
        () => this.#send("agents", this.topicName, this.definition), this.#stop.signal);
    void this.#until("withdrawals are not heard for now", () => this.#listen());
    await this.#until("not in the group (a worker makes the topic of a sound definition: `baton agents list`)",
      () => this.#belong(drained));
    await Promise.race([this.#beat(), sleep(RETRY_MS, null, { ref: false })]);
    process.off("SIGTERM", stop).off("SIGINT", stop);
    clearInterval(beats);
    await closed(this.#producer);
  }
  /** Tries until it is done, and says each new reason why it is not; undefined once all is over. */
  async #until<T>(what: string, attempt: () => Promise<T>, end = this.#over.signal): Promise<T | undefined> {
    for (let said = ""; !end.aborted; await pause(end, RETRY_MS))
      try { return await attempt(); } catch (error) {
        if (!end.aborted && said !== (said = told(error))) this.#set.log(`${what}: ${said}`);
      }
  }
  /** Resolves after the word to stop, when all in hand is finished or the grace is over. */
  async #drained(): Promise<void> {
    while (!this.#stop.signal.aborted) await pause(this.#stop.signal, BEAT_MS);
    void this.#beat();
    await Promise.race([Promise.all(this.#jobs), sleep(this.#set.grace * 1_000, null, { ref: false })]);
    if (this.#jobs.size) this.#set.log(`${this.#jobs.size} not finished in ${this.#set.grace} s: delivered again`);
    this.#over.abort();
    for (const { abort } of this.#known.values()) abort.abort(new Error("the agent has stopped"));
  }
  /** Follows the withdrawals from now on. */
  async #listen(): Promise<void> {
    const topic = `${this.#set.prefix}.cancellations`;
    for await (const record of records(this.#client, topic, () => !this.#over.signal.aborted)) {
      const { agentName, assignmentId: id, reason } = await this.#decode<Record<string, string>>(record) ?? {};
      if (id && agentName === this.definition.agentName)
        (this.#known.get(id) ?? this.#remember(id)).abort.abort(new Withdrawn(reason));
    }
  }
  /** One membership of the group, until `drained`; it fails once it is lost. */
  async #belong(drained: Promise<void>): Promise<void> {
    const member = new Consumer(this.#client);
    member.topics.track(`${this.#set.prefix}.assignments.${this.topicName}`);
    const lost = new Promise<never>((_, lose) => member.on("error", lose)
      .on("consumer:heartbeat:error", ({ error }) => lose(error)) // it looks for no other coordinator
      .on("consumer:group:join", () => this.#read(member).catch(lose)));
    try { await Promise.race([lost, drained, member.joinGroup({}).then(() => drained)]); } finally {
      this.#taken = new Set();
      await closed(member);
    }
  }
  /** Works on what the group has given, from what is committed on, until it gives anew. What is in hand then is
   * finished, and may be delivered again. */
  async #read(member: Consumer): Promise<void> {
    const taken = this.#taken = new Set(), stop = this.#stop.signal, current = () => this.#taken === taken;
    const { topic, partitions } = member.assignments?.[0] ?? { topic: "", partitions: [] };
    this.#set.log(`${this.#client.groupId} works on partitions [${partitions}]`);
    void this.#beat();
    if (!partitions.length) return;
    const first = (await member.listOffsets({ topics: [topic], timestamp: ListOffsetTimestamps.EARLIEST })).get(topic);
    const committed = (await member.listCommittedOffsets({ topics: [{ topic, partitions }] })).get(topic);
    const later = (a = -1n, b = -1n) => a > b ? a : b; // what was committed may be deleted by now
    const from = new Map(partitions.map((it) => [it, later(first?.[it], committed?.[it])]));
    let commits: Promise<unknown> = Promise.resolve(); // one after the other
    for await (const record of records(this.#client, topic, () => current() && !stop.aborted, from)) {
      while (current() && !stop.aborted && (this.#jobs.size >= this.#set.concurrency || taken.size >= HELD))
        await Promise.race([...this.#jobs, pause(stop, POLL_MS)]);
      if (!current() || stop.aborted) return;
      const it = { partition: record.partition, offset: record.offset, settled: false };
      const job: Promise<void> = this.#serve(record).then(async (settled) => {
        it.settled = settled;
        const commit = async () => { if (current()) await this.#commit(member); };
        await (commits = commits.then(() => this.#until("a commit waits", commit)));
        this.#jobs.delete(job);
      });
      taken.add(it);
      this.#jobs.add(job);
    }
  }
  /** Commits, for each partition, the offset up to which everything is settled. */
  async #commit(member: Consumer): Promise<void> {
    const taken = this.#taken, open = new Set<number>(), due = new Map<number, bigint>();
    for (const { partition, offset, settled } of taken)
      if (!settled) open.add(partition); else if (!open.has(partition)) due.set(partition, offset + 1n);
    const topic = member.topics.current[0]!;
    const offsets = [...due].map(([partition, offset]) => ({ topic, partition, offset, leaderEpoch: -1 }));
    if (due.size) await member.commit({ offsets });
    for (const it of taken) if (it.offset < (due.get(it.partition) ?? 0n)) taken.delete(it);
  }
  /** One delivery, from its bytes to its delivered report; whether its offset may be committed. */
  async #serve(record: Incoming): Promise<boolean> {
    const assignment = await this.#decode<Assignment>(record), over = this.#over.signal;
    if (!assignment) return !over.aborted;
    const trace = record.headers.find(([name]) => String(name) === "traceparent")?.[1]?.toString();
    const send = (report: Report) => this.#send("agent-status", report.taskId, report, trace).then(() => true);
    let said: Promise<unknown> = Promise.resolve(); // the words on one assignment in their order
    const say = (word: Report) => { said = said.then(() => send(word)).catch(() => {}); };
    const work = new Work<I>(assignment, this.format.text, say, trace);
    const id = assignment.assignmentId, late = work.deadline && +work.deadline < Date.now();
    if (late) this.#set.log(`${id} is passed over: its deadline was ${work.deadline.toISOString()}`);
    const report = late ? null : await this.answer(work);
    await Promise.race([said, sleep(RETRY_MS, null, { ref: false })]);
    const sent = report && await this.#until(`the report on ${id} waits`, () => send(report).catch((error) => {
      if (!error.findBy?.("apiId", "MESSAGE_TOO_LARGE")) throw error;
      return send(failed(work, new Permanent("the report is larger than a record may be", { code: "too_large" })));
    }));
    return sent ?? !over.aborted;
  }
  /** The report that ends the work, for a second delivery the first one's; null if withdrawn. */
  answer(work: Work<I>): Promise<Report | null> {
    const id = work.assignment.assignmentId;
    return (this.#known.get(id) ?? this.#remember(id, work.abort, this.#report(work))).report;
  }
  #remember(id: string, abort = new AbortController(), report = Promise.resolve<Report | null>(null)) {
    if (this.#known.set(id, { abort, report }).size > KEPT) this.#known.delete(this.#known.keys().next().value!);
    return { abort, report };
  }
  /** Runs the handler. Whatever it does, there is a report. */
  async #report(work: Work<I>): Promise<Report | null> {
    let report: Report;
    try {
      work.say(work.report("ACCEPTED"));
      const output = await this.handler(work), text = json(output);
      // In a report a string stands for itself as text, so where the output is JSON it is a string of JSON.
      report = work.report("SUCCEEDED", { output: this.format.json && typeof output === "string" ? text : output });
    } catch (error) { report = failed(work, error); }
    return work.signal.aborted ? null : report;
  }
  async #send(topic: string, key: string, record: object, traceparent?: string): Promise<void> {
    const more = topic === "agents" ? {} : { instance: this.#client.clientId, time: Date.now() };
    const value = JSON.stringify({ ...record, ...more }), headers = traceparent ? { traceparent } : {};
    await this.#producer.send({ acks: -1, messages: [{ topic: `${this.#set.prefix}.${topic}`, key, value, headers }] });
  }
  async #beat(): Promise<void> {
    const { agentName, version = "1.0.0" } = this.definition, inFlight = this.#jobs.size;
    const beat = { agentName, version, inFlight, capacity: this.#stop.signal.aborted ? 0 : this.#set.concurrency };
    await this.#send("heartbeats", agentName, beat).catch(() => {});
  }
  /** What the record says; null if it can never be read, or all was over before the registry answered. */
  async #decode<T>({ topic, partition, offset, value }: Incoming): Promise<T | null> {
    try {
      if (value?.[0] !== 0) throw new Error("it is not in the registry's wire format");
      const id = value.readInt32BE(1);
      const type = await this.#until("a record waits for its schema", () => this.#schema(id));
      if (!type) throw new Error(`the registry has no schema ${id}`);
      return type.fromBuffer(value.subarray(5)) as T;
    } catch (error) {
      if (!this.#over.signal.aborted) this.#set.log(`${topic}/${partition}/${offset} is passed over: ${told(error)}`);
      return null;
    }
  }
  async #schema(id: number): Promise<avro.Type | undefined> {
    const known = this.#schemas.get(id), url = new URL(`${this.#set.registry.replace(/\/$/, "")}/schemas/ids/${id}`);
    if (known) return known;
    const user = Buffer.from(decodeURIComponent(`${url.username}:${url.password}`)).toString("base64");
    const headers = url.username ? { authorization: `Basic ${user}` } : undefined;
    url.username = url.password = "";
    const answer = await fetch(url, { ...(headers && { headers }), signal: AbortSignal.timeout(10_000) });
    if (answer.status === 404) return undefined;
    if (!answer.ok) throw new Error(`${url} answers ${answer.status}`);
    const type = avro.Type.forSchema(JSON.parse((await answer.json() as { schema: string }).schema));
    this.#schemas.set(id, type);
    return type;
  }
}

/** The records of a topic while they are wanted: from these offsets on, by partition, else from now on. In no group,
 * and without those of aborted transactions: the client's own streams show some, where a producer aborts twice in what
 * one answer holds, or an abort is not in it. */
async function* records(settings: Settings, topic: string, wanted: () => boolean, from?: Map<number, bigint>) {
  const client = new Consumer(settings);
  try {
    const next = from ?? new Map((await client.listOffsets({ topics: [topic] })).get(topic)!.entries());
    while (wanted()) {
      const { partitions } = (await client.metadata({ topics: [topic] })).topics.get(topic)!;
      const leaders = await client.connectToBrokers([...next.keys()].map((it) => partitions[it]!.leader));
      const answers = await Promise.all([...leaders].map(([leader, connection]) => {
        const asked = [...next].filter(([it]) => partitions[it]!.leader === leader).map(([partition, fetchOffset]) =>
          ({ partition, fetchOffset, currentLeaderEpoch: -1, lastFetchedEpoch: -1, partitionMaxBytes: BYTES }));
        return fetchV12.api.async(connection, POLL_MS, 1, 10 * BYTES, FetchIsolationLevels.READ_COMMITTED, 0, -1,
          [{ topicId: topic, partitions: asked }], [], ""); // up to this version a fetch goes by the topic's name
      }));
      for (const answer of answers.flatMap(({ responses }) => responses.flatMap((it) => it.partitions))) {
        const { partitionIndex: partition, abortedTransactions: aborted, records: batches = [] } = answer;
        for (const { producerId, firstOffset, lastOffsetDelta, attributes, records } of batches) {
          const start = next.get(partition)!;
          next.set(partition, firstOffset + BigInt(lastOffsetDelta) + 1n);
          // An aborted transaction begins at its first offset and ends with the next control batch of its producer.
          const its = aborted.findIndex((one) => one.producerId === producerId && one.firstOffset <= firstOffset);
          if (attributes & IS_CONTROL) aborted.splice(its, its < 0 ? 0 : 1);
          else if (its < 0) for (const record of records) {
            const offset = firstOffset + BigInt(record.offsetDelta);
            if (offset >= start) yield { ...record, topic, partition, offset };
          }
        }
      }
    }
  } catch (error) { if (wanted()) throw error; } finally { await closed(client); }
}
/** Closes a client, in 2 s at most. */
async function closed(client: { close(force: boolean): Promise<void>; connections: { close(): Promise<void> } }) {
  const ends = client.close(true).catch(() => client.connections.close()).catch(() => {});
  await Promise.race([ends, sleep(2_000, null, { ref: false })]);
}
/** Resolves after this time, or else at the end. */
const pause = (end: AbortSignal, millis: number) => sleep(millis, undefined, { signal: end }).catch(() => {});
/** What went wrong, with its causes. */
function told(error: unknown): string {
  if (!(error instanceof Error)) return typeof error === "string" ? error : inspect(error);
  const others: unknown[] = error instanceof AggregateError ? error.errors : [];
  return [...new Set([error.message, ...others.map(told), ...(error.cause ? [told(error.cause)] : [])])].join(": ");
}
function json(output: unknown): string {
  try {
    const text: string | undefined = JSON.stringify(output ?? null);
    if (text === undefined) throw new TypeError(`a ${typeof output}`);
    return text;
  } catch (error) { throw new InvalidOutput(`the output has no form in JSON: ${told(error)}`); }
}
function failed(work: Work, error: unknown): Report {
  const message = told(error), { name = "Error" } = Object(error);
  if (error instanceof Declined || error instanceof InputRequired) return work.report(error.status, { message });
  const Other = name === "TimeoutError" ? Timeout : Transient;
  const { errorClass, more } = error instanceof Failure ? error : new Other("", { code: String(name) });
  const retryAfterMs = Math.round((more.retryAfter ?? 0) * 1_000);
  return work.report("FAILED", { error: { class: errorClass, message, ...(more.code && { code: more.code }),
    ...(retryAfterMs && { retryAfterMs }) } });
}
/** The agent's topic name and key: `Word Counter` is `word-counter`, from major 2 on `word-counter.v2`. */
export function topicName({ agentName, version = "1.0.0" }: Definition): string {
  const name = String(agentName ?? "").trim(), major = /^\d+/.exec(version);
  if (!/^[\w .-]{1,64}$/.test(name) || /^(none|done|unknown|end|finish|.*\.(dlq|v\d+))$/i.test(name))
    throw new Error(`agentName "${name}": 1 to 64 of A-Z a-z 0-9 space . _ -, not reserved, not .dlq or .v2`);
  if (!major) throw new Error(`version "${version}" is not like 1.0.0`);
  return name.toLowerCase().replace(/[^a-z0-9._-]/g, "-") + (+major[0] > 1 ? `.v${+major[0]}` : "");
}
/** What a payload stands for; text that is no JSON is a string. */
function parsed(text: string | null | undefined): unknown {
  try { return JSON.parse(text ?? "null"); } catch { return text; }
}

/** The report, and the words of progress before it. */
export type Answered = Partial<Report> & { status: string; progressed: [share: number, message: string][] };
let tested = 0; // over all doubles: an agent answers an assignment once
/** Runs an agent's handler without Kafka, by the code that serves assignments:
 * `assert.deepEqual((await new TestAgent(agent).run("one two")).output, { words: 2 })`. */
export class TestAgent<I = unknown> {
  constructor(readonly agent: Agent<I>) {}
  /** One assignment, and what ends it; WITHDRAWN: nothing. `withdrawAfter: n`: it is withdrawn after the n-th word of
   * progress, 0 = once accepted. Other fields are the assignment's; the same `assignmentId` again: delivered twice. */
  async run(input: unknown = "", more: Partial<Assignment> & { withdrawAfter?: number } = {}): Promise<Answered> {
    const { withdrawAfter, ...fields } = more, { definition: { agentName }, format } = this.agent;
    const text = format.text && typeof input === "string" ? input : JSON.stringify(input);
    const progressed: Answered["progressed"] = [];
    const work: Work<I> = new Work<I>({ taskId: "test", assignmentId: `test~${++tested}`, stepId: "1", attempt: 1,
      agentName, effectKey: "test~1", objective: "a test", input: text, ...fields }, format.text, (word) => {
      if (word.status === "PROGRESS") progressed.push([word.progress!, word.message!]);
      if (progressed.length === withdrawAfter) work.abort.abort(new Withdrawn("test"));
    });
    return { progressed, ...(await this.agent.answer(work) ?? { status: "WITHDRAWN" }) };
  }
}
