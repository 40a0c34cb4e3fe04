/**
 * The agent's side of Kafka: what a group gives, each offset committed only when its record is settled;
 * topics without a group; records by their schemas. What is in the way is thrown: try again.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Consumer, IS_CONTROL, IS_TRANSACTIONAL, ListOffsetTimestamps, MessagesStreamModes, kGetApi, type API,
  type Callback, type ConsumerOptions, type Message, type MessagesStream, type Producer,
  type RecordsBatch } from "@platformatic/kafka";
import avro from "avsc";

const AHEAD = 16, HELD = 10_000; // records read ahead of those worked on; waiting for an earlier one's end
const POLL_MS = 200; // how long a broker holds back an empty answer; between two commits
/** Between two tries. */
export const RETRY_MS = 1_000;

export type Settings = ConsumerOptions<Buffer, Buffer, Buffer, Buffer>;
type Aborted = { producerId: bigint; firstOffset: bigint };
type Batches = { abortedTransactions: Aborted[]; records?: RecordsBatch[] };
type Fetched = { topicId: string; partitions: Batches[] };
export type Incoming = Message<Buffer, Buffer, Buffer, Buffer>;
/** A partition while it is ours: offsets in hand, in order, and if each is settled; the next to commit. */
type Owned = { open: Map<bigint, boolean>; next: bigint; committed: bigint };


/** A member of a group. `serve` says whether a record is settled, and does not fail; one that is not, and all
 * after it in its partition, come again to whoever reads on. After `stop` nothing is begun. */
export class Group {
  readonly jobs = new Set<Promise<void>>(); #owned = new Map<number, Owned>(); #member: Reader | undefined;
  constructor(readonly client: Settings, readonly topic: string, readonly concurrency: number,
    readonly stop: AbortSignal, readonly serve: (record: Incoming) => Promise<boolean>,
    readonly log: (line: string) => void) {}

  /** One membership of the group, until `drained`; it fails once it is lost. */
  async belong(drained: Promise<void>): Promise<void> {
    const member = this.#member = new Reader(this.client);
    const read = () => this.#read(member), commit = () => this.#commit(member);
    member.topics.track(this.topic);
    const lost = new Promise<never>((_, lose) => member.on("error", lose)
      .on("consumer:heartbeat:error", ({ error }) => lose(error)) // it looks for no other coordinator
      .on("consumer:group:join", () => { if (this.#member === member) read().catch(lose); }));
    const waits = (error: unknown) => this.log(`a commit waits: ${told(error)}`);
    const commits = setInterval(() => void commit().catch(waits), POLL_MS);
    try { await Promise.race([lost, drained, member.joinGroup({}).then(() => drained)]); } finally {
      clearInterval(commits);
      await Promise.race([commit(), sleep(RETRY_MS, null, { ref: false })]).catch(() => {});
      [this.#member, this.#owned] = [undefined, new Map()];
      await closed(member);
    }
  }

  /** Reads what the group has given, from what is committed on, until the group gives anew. What is in hand
   * then is finished, and may be delivered again. */
  async #read(member: Reader): Promise<void> {
    const owned = this.#owned = new Map<number, Owned>(), topic = this.topic, from: bigint[] = [];
    const current = () => this.#owned === owned && !this.stop.aborted;
    const partitions = member.assignments?.find((mine) => mine.topic === topic)?.partitions ?? [];
    member.stream?.destroy();
    this.log(`${this.client.groupId} works on partitions [${partitions}]`);
    if (!partitions.length) return;
    const first = await member.bound(topic, ListOffsetTimestamps.EARLIEST);
    const all = await member.listCommittedOffsets({ topics: [{ topic, partitions }] });
    const committed = all.get(topic) ?? [];
    for (const it of partitions) from[it] = committed[it]! > first[it]! ? committed[it]! : first[it]!;
    if (!current()) return;
    for (const it of partitions) owned.set(it, { open: new Map(), next: from[it]!, committed: from[it]! });
    try {
      for await (const record of await member.follow(topic, from)) {
        const { open } = owned.get(record.partition)!;
        open.set(record.offset, false);
        while (current() && (this.jobs.size >= this.concurrency || open.size > HELD))
          await Promise.race([...this.jobs, pause(this.stop, POLL_MS)]);
        if (!current()) return;
        const job: Promise<void> = this.serve(record).then((settled) => { open.set(record.offset, settled); })
          .finally(() => this.jobs.delete(job));
        this.jobs.add(job);
      }
    } catch (error) { if (current()) throw error; }
  }

  /** Commits the offsets up to which everything is settled. */
  async #commit(member: Reader): Promise<void> {
    for (const owned of this.#owned.values()) for (const [offset, settled] of owned.open) {
      if (!settled) break;
      owned.open.delete(offset); owned.next = offset + 1n;
    }
    const due = [...this.#owned].filter(([, { next, committed }]) => next > committed);
    const offsets = due.map(([partition, { next: offset }]) =>
      ({ topic: this.topic, partition, offset, leaderEpoch: -1 }));
    if (due.length) await member.commit({ offsets });
    due.forEach(([, owned], index) => { owned.committed = offsets[index]!.offset; });
  }
}

/** The registry's schemas, and what records say by them. */
export class Schemas {
  readonly #known = new Map<number, avro.Type>();
  constructor(readonly registry: string) {}
  /** What the record says; throws `Unreadable` if it never will say anything, else what is in the way. */
  async decode<T>({ value }: Incoming): Promise<T> {
    if (value?.[0] !== 0 || value.length < 5) throw new Unreadable("it is not in the registry's wire format");
    const id = value.readInt32BE(1), type = this.#known.get(id) ?? await this.#fetch(id);
    try { return type.fromBuffer(value.subarray(5)) as T; }
    catch (error) { throw new Unreadable(told(error)); }
  }
  async #fetch(id: number): Promise<avro.Type> {
    const url = new URL(`${this.registry.replace(/\/$/, "")}/schemas/ids/${id}`);
    const { username, password } = url;
    url.username = url.password = "";
    const basic = Buffer.from(decodeURIComponent(`${username}:${password}`)).toString("base64");
    const headers = username ? { authorization: `Basic ${basic}` } : {};
    const answer = await fetch(url, { headers, signal: AbortSignal.timeout(10_000) });
    if (answer.status === 404) throw new Unreadable(`the registry has no schema ${id}`);
    if (!answer.ok) throw new Error(`${url} answers ${answer.status}`);
    const { schema } = await answer.json() as { schema: string };
    const type = avro.Type.forSchema(JSON.parse(schema));
    this.#known.set(id, type);
    return type;
  }
}
export class Unreadable extends Error {}

/** The client, but it can read without a group, knows that before version 13 a fetch goes by the topic's
 * name, and shows nothing of aborted transactions: its own filter leaves some, where a producer aborts twice
 * in what one answer holds, or an abort is not in it. */
export class Reader extends Consumer {
  stream: MessagesStream<Buffer, Buffer, Buffer, Buffer> | undefined;
  override [kGetApi]<A extends unknown[], R>(name: string, callback: Callback<API<A, R>>): void {
    super[kGetApi]<A, R>(name, (error, api) => {
      const fetch = (...given: any[]) => {
        const done = given.pop(), wanted: { topicId: string }[] = given[7], id = wanted[0]?.topicId;
        if (api!.version < 13) for (const it of wanted) it.topicId = this.topics.current[0]!;
        (api as Function)(...given, (failure: Error | null, answer?: { responses: Fetched[] }) => {
          for (const it of answer?.responses ?? []) { it.topicId = id!; it.partitions.forEach(blankAborted); }
          done(failure, answer);
        });
      };
      callback(error, api && name === "Fetch" ? fetch as unknown as API<A, R> : api);
    });
  }
  /** The first or the next offset of each partition. */
  async bound(topic: string, timestamp: bigint = ListOffsetTimestamps.LATEST): Promise<bigint[]> {
    return (await this.listOffsets({ topics: [topic], timestamp })).get(topic)!;
  }
  /** The records from these offsets on, by partition; what was followed before ends. */
  async follow(topic: string, from: bigint[]): Promise<AsyncIterable<Incoming>> {
    this.stream?.destroy();
    this.memberId ??= ""; // without one it would join
    this.assignments ??= [{ topic, partitions: [...from.keys()] }];
    if (!this.topics.size) this.topics.track(topic);
    const offsets = from.flatMap((offset, partition) => [{ topic, partition, offset }]); // without the gaps
    return this.stream = await this.consume({ topics: [topic], mode: MessagesStreamModes.MANUAL, offsets,
      autocommit: false, maxWaitTime: POLL_MS, highWaterMark: AHEAD });
  }
}

function blankAborted(partition: Batches): void {
  const begun = partition.abortedTransactions.sort((a, b) => Number(a.firstOffset - b.firstOffset));
  const aborted = new Set<bigint>(); // producers whose transaction at this place is one that aborts
  for (const batch of partition.records ?? []) {
    while (begun[0] && begun[0].firstOffset <= batch.firstOffset + BigInt(batch.lastOffsetDelta))
      aborted.add(begun.shift()!.producerId);
    if (batch.attributes & IS_CONTROL) { // of type 0: the end of an aborted one
      if (batch.records[0]?.key?.readInt16BE(2) === 0) aborted.delete(batch.producerId);
    } else if (batch.attributes & IS_TRANSACTIONAL && aborted.has(batch.producerId)) batch.records = [];
  }
  partition.abortedTransactions = [];
}

/** What went wrong, with its causes. */
export function told(error: unknown): string {
  const { message, cause, errors = [] } =
    (error instanceof Error ? error : Error(String(error))) as AggregateError;
  return [...new Set([message, ...errors.map(told), ...(cause ? [told(cause)] : [])])].join(": ");
}
/** Resolves after this time, or else at the end. */
export function pause(end: AbortSignal, millis?: number): Promise<void> {
  if (end.aborted) return Promise.resolve();
  if (millis !== undefined) return sleep(millis, undefined, { signal: end }).catch(() => {});
  return new Promise((ended) => end.addEventListener("abort", () => ended(), { once: true }));
}
/** Closes a client, in 2 s at most. */
export async function closed(client: Reader | Producer<any, any, any, any>): Promise<void> {
  if (client instanceof Reader) client.stream?.destroy();
  const closing = async () => { await (client instanceof Reader ? client.close(true) : client.close()); };
  const ends = closing().catch(() => client.connections.close()).catch(() => {});
  await Promise.race([ends, sleep(2_000, null, { ref: false })]);
}
