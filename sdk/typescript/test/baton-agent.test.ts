/** The handler's side of the SDK, by its test double, and what needs no broker. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  Agent, Auth, Contract, Declined, InputRequired, InvalidOutput, Permanent, RateLimited, TestAgent, Timeout, Transient,
  Withdrawn, topicName, type Definition, type Work,
} from "../baton-agent.js";

const TEXT: Definition = { agentName: "Word Counter", description: "Counts words." };
const JSON_OUT: Definition = {
  ...TEXT, input: { format: "application/json" }, output: { format: "application/json" },
};

function double<I>(handler: (work: Work<I>) => unknown, definition = TEXT): TestAgent<I> {
  return new TestAgent(new Agent<I>(definition, handler, { log: () => {} }));
}

test("what a handler returns is the output, under the ids of the assignment", async () => {
  const counter = double<string>((work) => ({ words: work.input.split(/\s+/).length }));
  const { status, output, taskId, assignmentId, agentName } = await counter.run("one two three");
  assert.deepEqual({ status, output }, { status: "SUCCEEDED", output: { words: 3 } });
  assert.deepEqual([taskId, assignmentId, agentName], ["test", "test~1", "Word Counter"]);
  assert.equal((await double(async () => "done").run()).output, "done");
  assert.equal((await double(() => undefined).run()).output, undefined);
});

test("input and output follow the formats of the definition", async () => {
  assert.equal((await double<string>((work) => typeof work.input).run("[1]")).output, "string");
  assert.equal((await double<string>((work) => work.input, JSON_OUT).run("3")).output, '"3"', "a string of JSON");
  assert.deepEqual((await double<number[]>((work) => work.input.length, JSON_OUT).run([1, 2])).output, 2);
  const context = [{ stepId: "1", agentName: "A", output: '{"a":1}' }, { stepId: "2", agentName: "B", output: "plain" }];
  const outputs = await double((work) => work.context.map((step) => step.output)).run("", { context });
  assert.deepEqual(outputs.output, [{ a: 1 }, "plain"]);
});

test("what a handler throws says what went wrong", async () => {
  const slow = Object.assign(new Error("no answer"), { name: "TimeoutError" });
  const cases: [unknown, object][] = [
    [new Transient("again"), { class: "TRANSIENT", message: "again" }],
    [new RateLimited("later", { retryAfter: 1.5 }), { class: "RATE_LIMITED", message: "later", retryAfterMs: 1500 }],
    [new Timeout("slow"), { class: "TIMEOUT", message: "slow" }],
    [slow, { class: "TIMEOUT", message: "no answer", code: "TimeoutError" }],
    [new InvalidOutput("no verse"), { class: "INVALID_OUTPUT", message: "no verse" }],
    [new Contract("no text"), { class: "CONTRACT", message: "no text" }],
    [new Auth("key", { code: "expired" }), { class: "AUTH", message: "key", code: "expired" }],
    [new Permanent("never"), { class: "PERMANENT", message: "never" }],
    [new RangeError("off", { cause: new Error("by one") }),
      { class: "TRANSIENT", message: "off: by one", code: "RangeError" }],
    ["a string", { class: "TRANSIENT", message: "a string", code: "Error" }],
    [null, { class: "TRANSIENT", message: "null", code: "Error" }],
  ];
  for (const [thrown, error] of cases) {
    const report = await double(() => { throw thrown; }).run();
    assert.deepEqual([report.status, report.error], ["FAILED", error]);
  }
  const { status, message } = await double(() => { throw new Declined("not on Mondays"); }).run();
  assert.deepEqual([status, message], ["DECLINED", "not on Mondays"]);
  assert.equal((await double(() => { throw new InputRequired("which one?"); }).run()).status, "INPUT_REQUIRED");
});

test("an output without a form in JSON is INVALID_OUTPUT", async () => {
  for (const output of [1n, () => 1, Symbol("s")]) {
    assert.equal((await double(() => output).run()).error?.class, "INVALID_OUTPUT");
  }
});

test("progress is kept in its bounds and usage adds up, however the work ends", async () => {
  const report = await double((work) => {
    work.progress(0.5, "half"); work.progress(7);
    work.used({ inputTokens: 3, costMicros: 7 }); work.used({ inputTokens: 1, outputTokens: 2 });
    throw new Permanent("no");
  }).run();
  assert.deepEqual(report.progressed, [[0.5, "half"], [1, ""]]);
  assert.deepEqual(report.usage, { inputTokens: 4, outputTokens: 2, costMicros: 7 });
});

test("withdrawn work hears of it and is not reported", async () => {
  let reason: unknown;
  const report = await double(async (work) => {
    work.progress(0.1);
    reason = work.signal.reason;
    work.signal.throwIfAborted();
  }).run("", { withdrawAfter: 1 });
  assert.equal(report.status, "WITHDRAWN");
  assert.ok(reason instanceof Withdrawn);
  assert.equal((await double((work) => work.signal.aborted).run("", { withdrawAfter: 0 })).status, "WITHDRAWN");
});

test("a second delivery gets the first one's answer", async () => {
  let calls = 0;
  const agent = double(() => (calls += 1));
  const again = { assignmentId: "a-1" };
  const [first, second] = await Promise.all([agent.run("", again), agent.run("", again)]);
  assert.deepEqual([first.output, second.output, (await agent.run("", again)).output, calls], [1, 1, 1, 1]);
  assert.equal((await agent.run("")).output, 2);
});

test("the deadline is the earlier one", async () => {
  const deadline = double((work) => work.deadline?.getTime());
  assert.equal((await deadline.run("", { attemptDeadline: 2_000, taskDeadline: 1_000 })).output, 1_000);
  assert.equal((await deadline.run("", { attemptDeadline: 2_000 })).output, 2_000);
  assert.equal((await deadline.run("")).output, undefined);
});

test("topic names are made as Baton makes them", () => {
  const name = (agentName: string, version?: string) => topicName({ ...TEXT, agentName, ...(version && { version }) });
  assert.deepEqual([name("Word Counter"), name(" A.b_c-D ", "1.9.0"), name("Word Counter", "2.0.0")],
    ["word-counter", "a.b_c-d", "word-counter.v2"]);
  for (const bad of ["", "none", "DONE", "x.dlq", "x.v2", "a/b", "é", "x".repeat(65)]) {
    assert.throws(() => name(bad), /agentName/);
  }
  assert.throws(() => name("Word Counter", "new"), /version/);
  assert.throws(() => new Agent(TEXT, () => 1, { concurrency: 0 }), /concurrency is 0/);
});
