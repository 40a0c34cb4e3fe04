/** An agent in TypeScript: how long it takes to read a text. Settings come from BOOTSTRAP, REGISTRY, PREFIX, CLIENT. */
import { readFileSync } from "node:fs";
import { Agent, Contract, type Work } from "@baton/agent";

const WORDS_A_MINUTE = 230;

export function readingTime(work: Work<string>): { words: number; sentences: number; minutes: number } {
  if (typeof work.input !== "string") throw new Contract("the input is no text");
  const segments = (granularity: "word" | "sentence") => [...new Intl.Segmenter("en", { granularity }).segment(work.input)];
  const words = segments("word").filter((segment) => segment.isWordLike).length;
  if (words === 0) throw new Contract("there is nothing to read");
  work.progress(0.5, `${words} words`);
  return { words, sentences: segments("sentence").length, minutes: Math.ceil(words / WORDS_A_MINUTE) };
}

const definition = JSON.parse(readFileSync(new URL("../agent.json", import.meta.url), "utf8"));
const agent = new Agent<string>(definition, readingTime, { concurrency: 4 });
await agent.run(); // until SIGTERM or SIGINT
