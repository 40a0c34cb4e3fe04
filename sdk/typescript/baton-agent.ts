/**
 * Agents for Baton in TypeScript: a function becomes an agent that takes assignments from Kafka and reports.
 *
 *     const definition = { agentName: "Word Counter", description: "Counts the words of a text." };
 *     const agent = new Agent<string>(definition, (work) => ({ words: work.input.split(/\s+/).length }));
 *     await agent.run(); // until SIGTERM or SIGINT
 *
 * What the handler returns is the output; what it throws (`Transient`, `Declined` …) says what went wrong.
 * No work is lost: an offset is committed only when the brokers have the report. An agent killed in between
 * gets the assignment again with the same `work.effectKey`: side effects go under that key. Brokers and
 * registry may be away at any time: the agent says so, waits and goes on. What computes for seconds without
 * awaiting goes into a worker thread, for the group's heartbeats. `TestAgent` runs a handler without Kafka.
 */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { Producer, compatibilityPartitioner } from "@platformatic/kafka";
import { Group, RETRY_MS, Reader, Schemas, Unreadable, closed, pause, told } from "./kafka.js";
import type { Incoming, Settings } from "./kafka.js";
export { TestAgent, type Answered } from "./test-agent.js";

const KEPT = 1_000; // answers kept for second deliveries, and withdrawals of assignments not read yet

/** A definition; its other fields are in docs/agents.md. */
export type Definition = { agentName: string; description: string; version?: string; [key: string]: unknown };
/** Fields as in docs/agents.md; times in epoch milliseconds, input and outputs as text. */
export type Assignment = {
  assignmentId: string; taskId: string; stepId: string; attempt: number; agentName: string; effectKey: string;
  objective: string; input?: string | null; context?: { stepId: string; agentName: string; output: string }[];
  attemptDeadline?: number | null; taskDeadline?: number | null; [field: string]: unknown };
type Cancelled = { assignmentId: string; reason: string };
/** What work has cost; money in millionths of the currency in use. */
export type Usage = { inputTokens: number; outputTokens: number; costMicros: number };
export type Report = {
  taskId: string; assignmentId: string; agentName: string; status: string; output?: unknown; usage?: Usage;
  error?: { class: string; code?: string; message: string; retryAfterMs?: number };
  progress?: number; message?: string };
export type Client = Partial<Settings>;
export interface Options {
  concurrency?: number; // assignments worked on at once; default 1
  bootstrap?: string; // several with commas; default the environment's BOOTSTRAP, else localhost:9092
  registry?: string; // may hold user:password@; default REGISTRY, else http://localhost:8081
  prefix?: string; // of topics and groups; default PREFIX, else baton
  client?: Client; // more settings of @platformatic/kafka (tls, sasl …); default CLIENT, as JSON
  register?: boolean; // false where `baton agents register` does it; default true
  heartbeat?: number; // seconds between signs of life, 0 = none; default 10
  grace?: number; // seconds for what is in hand when told to stop; default 30
  log?: (line: string) => void; // default console.error
}

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
export class Declined extends Error {} // not mine, give it to another agent; the message says why
export class InputRequired extends Error {} // a person must answer; the message says what
export class Withdrawn extends Error {} // nobody waits any more: the reason of `work.signal`

/** One assignment under way: what the handler is given. `I`: the shape of its input, which nobody checks. */
export class Work<I = unknown> {
  readonly objective: string; readonly effectKey: string; // the same for every attempt at the step
  readonly input: I; // text where the agent's input format is text/* (the default), else the JSON's value
  readonly context: { stepId: string; agentName: string; output: unknown }[]; // earlier steps
  readonly deadline: Date | undefined; // an answer after it changes nothing
  readonly signal: AbortSignal; // aborted when nobody waits any more; nothing is reported then
  #usage: Usage | undefined;
  /** @internal */
  constructor(readonly assignment: Assignment, text: boolean, readonly abort: AbortController,
    readonly say: (report: Report) => void, readonly traceparent?: string) {
    ({ objective: this.objective, effectKey: this.effectKey } = assignment);
    [this.signal, this.input] = [abort.signal, parsed(assignment.input, text) as I];
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
    const [inputTokens, outputTokens] = [sum("inputTokens"), sum("outputTokens")];
    this.#usage = { inputTokens, outputTokens, costMicros: sum("costMicros") };
  }
  /** @internal */
  report(status: string, said: Partial<Report> = {}): Report {
    const { taskId, assignmentId, agentName } = this.assignment;
    const usage = this.#usage && status !== "PROGRESS" ? { usage: this.#usage } : {};
    return { taskId, assignmentId, agentName, status, ...said, ...usage };
  }
}

/** Does the work, at once or later: returns the output, or throws what went wrong. */
export type Handler<I> = (work: Work<I>) => unknown;
/** An agent: its definition (an object, or a JSON file's path or URL) and the handler that does the work. */
export class Agent<I = unknown> {
  readonly definition: Definition; readonly topicName: string; 
  /** @internal */ readonly format: { text: boolean; json: boolean };
  readonly #set: Required<Omit<Options, "client" | "bootstrap">>;
  readonly #producer: Producer<Buffer, Buffer, Buffer, Buffer>;
  readonly #client: Settings & { clientId: string };
  readonly #stop = new AbortController(); readonly #over = new AbortController(); // told to stop; has stopped
  readonly #answers = new Map<string, Promise<Report | null>>(); // oldest first, as all of these
  readonly #working = new Map<string, AbortController>(); readonly #withdrawn = new Map<string, string>();
  readonly #schemas: Schemas; readonly #group: Group;
  constructor(definition: Definition | string | URL, readonly handler: Handler<I>, given: Options = {}) {
    const { BOOTSTRAP, REGISTRY, PREFIX, CLIENT } = process.env;
    const file = definition instanceof URL || typeof definition === "string";
    const { client, bootstrap = BOOTSTRAP ?? "localhost:9092", ...options } = given;
    this.definition = file ? JSON.parse(readFileSync(definition, "utf8")) : definition;
    const format = (side: any) => String(side?.format ?? "text/plain").toLowerCase();
    const { input, output } = this.definition;
    this.format = { text: format(input).startsWith("text/"), json: format(output) === "application/json" };
    this.#set = { concurrency: 1, registry: REGISTRY ?? "http://localhost:8081", prefix: PREFIX ?? "baton",
      register: true, heartbeat: 10, grace: 30, log: console.error, ...options };
    const { concurrency, prefix } = this.#set;
    if (!(concurrency >= 1)) throw new RangeError(`concurrency is ${concurrency}: at least 1 is needed`);
    this.topicName = topicName(this.definition);
    // Tries are repeated here: the client's own would join the group anew and then commit what it has lost.
    this.#client = { clientId: `${hostname()}-${process.pid}`,
      sessionTimeout: 10_000, rebalanceTimeout: 20_000, heartbeatInterval: 2_000,
      protocols: ["range", "roundrobin"].map((name) => ({ name, version: 0 })),
      ...(client ?? JSON.parse(CLIENT ?? "{}")), bootstrapBrokers: bootstrap.split(","), retries: 0,
      groupId: `${prefix}.agent.${this.topicName}` };
    this.#producer = new Producer(this.#client);
    this.#schemas = new Schemas(this.#set.registry);
    const topic = `${prefix}.assignments.${this.topicName}`, serve = (it: Incoming) => this.#serve(it);
    this.#group = new Group(this.#client, topic, concurrency, this.#stop.signal, serve, this.#set.log);
  }
  /** As SIGTERM: take nothing more, finish what is in hand, report, commit, leave; then `run` returns. */
  stop(): void { this.#stop.abort(); }
  /** Registers the agent and works until told to stop. */
  async run(): Promise<void> {
    const { prefix, heartbeat, register } = this.#set, { signal } = this.#stop, stop = () => this.stop();
    const reader = new Reader(this.#client), drained = this.#drained();
    const found = (topic: string) => reader.metadata({ topics: [topic], forceUpdate: true });
    const there = (topic: string, remedy: string) =>
      this.#until(`waiting for ${topic} (if it is missing, ${remedy})`, () => found(topic), signal);
    process.once("SIGTERM", stop).once("SIGINT", stop); // a second one ends the process at once
    const beats = heartbeat > 0 ? setInterval(() => void this.#beat(), heartbeat * 1_000) : undefined;
    try {
      if (register && await there(`${prefix}.agents`, "`baton apply` or `baton dev` creates it"))
        await this.#until("the definition waits",
          () => this.#send("agents", this.topicName, this.definition), signal);
      if (await there(this.#group.topic, "a worker makes it for a sound definition: `baton agents list`")) {
        if (beats) void this.#beat();
        const heard = new Promise<void>((begun) => void this.#until("withdrawals are not heard for now",
          () => this.#listen(reader, begun)));
        await Promise.race([heard, pause(signal, 10_000)]);
        await this.#until("the group is joined anew", () => this.#group.belong(drained));
        if (beats) await Promise.race([this.#beat(), sleep(RETRY_MS, null, { ref: false })]);
      }
    } finally {
      process.off("SIGTERM", stop).off("SIGINT", stop);
      clearInterval(beats); this.#stop.abort(); this.#over.abort();
      await Promise.all([reader, this.#producer].map(closed));
    }
  }
  /** Tries until it is done, and says each new reason why it is not; undefined once all is over. */
  async #until<T>(what: string, attempt: () => Promise<T>, end = this.#over.signal): Promise<T | undefined> {
    for (let said = ""; !end.aborted; await pause(end, RETRY_MS))
      try { return await attempt(); } catch (error) {
        if (!end.aborted && said !== (said = told(error))) this.#set.log(`${what}: ${said}`);
      }
  }
  /** Follows the withdrawals from now on: all of them, in no group. */
  async #listen(reader: Reader, begun: () => void): Promise<void> {
    const topic = `${this.#set.prefix}.cancellations`;
    const stream = await reader.follow(topic, await reader.bound(topic));
    begun();
    for await (const record of stream) {
      const { assignmentId: id, reason = "" } = await this.#decode<Partial<Cancelled>>(record) ?? {};
      if (id) this.#working.get(keep(this.#withdrawn, id, id))?.abort(new Withdrawn(reason));
    }
  }
  /** Resolves after the word to stop, when all in hand is finished or the grace is over. */
  async #drained(): Promise<void> {
    await pause(this.#stop.signal);
    if (this.#set.heartbeat > 0) void this.#beat();
    await Promise.race([Promise.all(this.#group.jobs), sleep(this.#set.grace * 1_000, null, { ref: false })]);
    const left = this.#group.jobs.size;
    if (left) this.#set.log(`${left} not finished in ${this.#set.grace} s: delivered again`);
    this.#over.abort();
    for (const abort of this.#working.values()) abort.abort(new Error("the agent has stopped"));
  }
  /** One delivery, from its bytes to its delivered report; whether its offset may be committed. */
  async #serve(record: Incoming): Promise<boolean> {
    const assignment = await this.#decode<Assignment>(record), { log } = this.#set;
    if (!assignment) return assignment === null;
    const trace = [...record.headers].find(([name]) => String(name) === "traceparent")?.[1]?.toString();
    let said: Promise<unknown> = Promise.resolve(); // the words on one assignment in their order
    const work = this.work(assignment, (report) => {
      said = said.then(() => this.#send("agent-status", report.taskId, report, trace)).catch(() => {});
    }, trace);
    const id = assignment.assignmentId, late = work.deadline && +work.deadline < Date.now();
    if (late) log(`${id} is passed over: its deadline was ${work.deadline.toISOString()}`);
    let report = late ? null : await this.answer(work);
    await Promise.race([said, sleep(RETRY_MS, null, { ref: false })]);
    while (report && !this.#over.signal.aborted) try {
      await this.#send("agent-status", report.taskId, report, trace);
      return true;
    } catch (error) {
      log(`the report on ${id} waits: ${told(error)}`);
      const large = report.output !== undefined && /too.large/i.test(told(error));
      if (large) report = failed(work, new Permanent(told(error), { code: "too_large" }));
      else await pause(this.#over.signal, RETRY_MS);
    }
    return !this.#over.signal.aborted;
  }
  /** @internal */
  work(assignment: Assignment, say: (report: Report) => void, trace?: string): Work<I> {
    return new Work<I>(assignment, this.format.text, new AbortController(), say, trace);
  }
  /** @internal The report that ends the work, for a second delivery the first one's; null if withdrawn. */
  answer(work: Work<I>): Promise<Report | null> {
    const id = work.assignment.assignmentId;
    return this.#answers.get(id) ?? keep(this.#answers, id, this.#report(work));
  }
  async #report(work: Work<I>): Promise<Report | null> {
    const id = work.assignment.assignmentId;
    if (this.#withdrawn.has(id)) return null;
    this.#working.set(id, work.abort);
    const report = await this.#done(work).finally(() => this.#working.delete(id));
    return work.signal.aborted ? null : report;
  }
  /** Runs the handler. Whatever it does, there is a report. */
  async #done(work: Work<I>): Promise<Report> {
    try {
      work.say(work.report("ACCEPTED"));
      const output = await this.handler(work);
      const text = json(output);
      // In a report a string stands for itself as text, so where the output is JSON it is a string of JSON.
      const quoted = this.format.json && typeof output === "string";
      return work.report("SUCCEEDED", { output: quoted ? text : output });
    } catch (error) { return failed(work, error); }
  }
  async #send(topic: string, key: string, record: object, trace?: string): Promise<void> {
    const more = topic === "agents" ? {} : { instance: this.#client.clientId, time: Date.now() };
    const value = Buffer.from(JSON.stringify({ ...record, ...more }));
    const headers = new Map(trace ? [[Buffer.from("traceparent"), Buffer.from(trace)]] : []);
    const message = { topic: `${this.#set.prefix}.${topic}`, key: Buffer.from(key), value, headers };
    await this.#producer.send({ acks: -1, partitioner: compatibilityPartitioner, messages: [message] });
  }
  async #beat(): Promise<void> {
    const { agentName, version = "1.0.0" } = this.definition, inFlight = this.#group.jobs.size;
    const capacity = this.#stop.signal.aborted ? 0 : this.#set.concurrency;
    await this.#send("heartbeats", agentName, { agentName, version, inFlight, capacity }).catch(() => {});
  }
  /** The record; null if it can never be read, undefined if all was over before the registry answered. */
  async #decode<T>(record: Incoming): Promise<T | null | undefined> {
    const { topic, partition, offset } = record, read = () => this.#schemas.decode<T>(record);
    return this.#until("a record waits for its schema", () => read().catch((error) => {
      if (!(error instanceof Unreadable)) throw error;
      this.#set.log(`${topic}/${partition}/${offset} is passed over: ${error.message}`);
      return null;
    }));
  }
}

function json(output: unknown): string | undefined {
  try { if (output === undefined || JSON.stringify(output) !== undefined) return JSON.stringify(output); }
  catch (error) { throw new InvalidOutput(`the output has no form in JSON: ${told(error)}`); }
  throw new InvalidOutput(`the output has no form in JSON: a ${typeof output}`);
}
function failed(work: Work, error: unknown): Report {
  const message = told(error);
  if (error instanceof Declined) return work.report("DECLINED", { message });
  if (error instanceof InputRequired) return work.report("INPUT_REQUIRED", { message });
  const { name = "Error" } = Object(error), other = name === "TimeoutError" ? "TIMEOUT" : "TRANSIENT";
  const { errorClass = other, more: { code, retryAfter } = { code: name } } = Object(error);
  const wait = retryAfter === undefined ? {} : { retryAfterMs: Math.round(retryAfter * 1_000) };
  return work.report("FAILED", { error: { class: errorClass, message, ...(code && { code }), ...wait } });
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
function parsed(text: string | null | undefined, plain = false): unknown {
  try { return plain || text == null ? text ?? null : JSON.parse(text); } catch { return text; }
}
function keep<T>(map: Map<string, T>, id: string, value: T): T {
  for (const old of map.keys()) if (map.size >= KEPT) map.delete(old); else break;
  map.set(id, value);
  return value;
}
