/** A test double: an agent without Kafka. */
import { Withdrawn, type Agent, type Assignment, type Report } from "./baton-agent.js";

/** What an agent answered, as `TestAgent` gives it. WITHDRAWN: nothing, as its work was withdrawn. */
export type Answered = Partial<Report> & { status: string; progressed: [share: number, message: string][] };
type More = { withdrawAfter?: number; [field: string]: unknown };
/** Runs an agent's handler without Kafka, by the code that serves assignments:
 * `assert.deepEqual((await new TestAgent(agent).run("one two")).output, { words: 2 })`. */
export class TestAgent<I = unknown> {
  #number = 0;
  constructor(readonly agent: Agent<I>) {}
  /** One assignment. `withdrawAfter: n`: withdrawn after the n-th word of progress, 0 = once it is accepted.
   * `fields`: more of the assignment, such as `attempt`; the same `assignmentId` again: delivered twice. */
  async run(input: unknown = null, more: More = {}): Promise<Answered> {
    const { withdrawAfter, ...fields } = more, plain = typeof input === "string" && this.agent.format.text;
    const text = input === null ? null : plain ? input as string : JSON.stringify(input);
    const { agentName } = this.agent.definition, assignmentId = `test~${++this.#number}`;
    const assignment: Assignment = { taskId: "test", assignmentId, stepId: "1", attempt: 1, input: text,
      agentName, effectKey: "test~1", objective: "a test", ...fields };
    const progressed: Answered["progressed"] = [];
    const work = this.agent.work(assignment, ({ status, progress, message }) => {
      if (status === "PROGRESS") progressed.push([progress!, message!]);
      if (progressed.length === withdrawAfter) work.abort.abort(new Withdrawn("test"));
    });
    return { progressed, ...(await this.agent.answer(work) ?? { status: "WITHDRAWN" }) };
  }
}
