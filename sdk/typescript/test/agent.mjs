/** An agent that does as its input says; what it begins and hears is printed. GATE names a file that lets work end. */
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import * as baton from "../dist/baton-agent.js";

const definition = {
  agentName: "Moody", description: "does as it is told", output: { format: "application/json" },
};

async function handler(work) {
  console.log(`begun ${work.assignment.assignmentId}`);
  switch (work.input) {
    case "wait":
      while (!existsSync(process.env.GATE)) await sleep(20, undefined, { signal: work.signal });
      return "waited";
    case "stuck":
      await new Promise((heard) => work.signal.addEventListener("abort", heard));
      console.log(`${work.signal.reason.name ?? ""} withdrawn: ${work.signal.reason.message}`);
      return "never reported";
    case "rate": throw new baton.RateLimited("later", { code: "quota", retryAfter: 2 });
    case "contract": throw new baton.Contract("no such column");
    case "crash": return undefined.words;
    case "rubbish": return 1n;
    case "huge": return "x".repeat(3_000_000);
    default:
      work.progress(0.5, "counting");
      work.used({ inputTokens: 3, outputTokens: 1, costMicros: 7 });
      return { words: work.input.split("-").length };
  }
}

const client = { sessionTimeout: 6000, heartbeatInterval: 500 };
await new baton.Agent(definition, handler, { client }).run();
console.log("ended in order");
