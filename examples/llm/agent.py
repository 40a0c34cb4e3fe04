"""An agent that asks an LLM: it sums up a text in one sentence.

ANTHROPIC_API_KEY or OPENAI_API_KEY says whom it asks (with both, Anthropic); MODEL names the model. Another server that
speaks OpenAI's chat API is OPENAI_BASE_URL. BOOTSTRAP, REGISTRY, PREFIX and CLIENT are as in every agent.
"""
import os
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

import anthropic
import openai
from baton_agent import Agent, Auth, Contract, Failure, InvalidOutput, Permanent, RateLimited, Timeout, Transient, Work

TASK = "Sum up the text that you are given in one sentence. Answer with that sentence and nothing else."
MOST_TOKENS, MOST_SECONDS, RETRIES = 500, 60.0, 2  # of one answer


class Reply(NamedTuple):
    """What the model said, why it ended, and what it took."""

    text: str | None
    end: str | None
    input_tokens: int
    output_tokens: int


Ask = Callable[[str, float], Reply]  # the text, and the seconds that there are for an answer


def ask_anthropic() -> Ask:
    client, model = anthropic.Anthropic(), os.environ.get("MODEL", "claude-haiku-4-5")

    def ask(text: str, seconds: float) -> Reply:
        message = client.with_options(timeout=seconds, max_retries=RETRIES).messages.create(
            model=model, max_tokens=MOST_TOKENS, system=TASK, messages=[{"role": "user", "content": text}])
        said = "".join(block.text for block in message.content if block.type == "text")
        return Reply(said, message.stop_reason, message.usage.input_tokens, message.usage.output_tokens)
    return ask


def ask_openai() -> Ask:
    client, model = openai.OpenAI(), os.environ.get("MODEL", "gpt-5-mini")

    def ask(text: str, seconds: float) -> Reply:
        messages = [{"role": "system", "content": TASK}, {"role": "user", "content": text}]
        answer = client.with_options(timeout=seconds, max_retries=RETRIES).chat.completions.create(
            model=model, max_completion_tokens=MOST_TOKENS, messages=messages)
        choice, usage = answer.choices[0], answer.usage
        end = "refusal" if choice.message.refusal else choice.finish_reason
        tokens = (usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0)
        return Reply(choice.message.content, end, *tokens)
    return ask


def failure(error: anthropic.APIError | openai.APIError) -> Failure:
    """What went wrong in Baton's words. Both packages name their errors alike, and have tried again by themselves."""
    kinds = {type_.__name__ for type_ in type(error).__mro__}
    response = getattr(error, "response", None)
    if "RateLimitError" in kinds:
        wait = response.headers.get("retry-after", "")
        return RateLimited(str(error), retry_after=float(wait) if wait.replace(".", "", 1).isdigit() else None)
    if kinds & {"AuthenticationError", "PermissionDeniedError"}:
        return Auth(str(error))
    if "APITimeoutError" in kinds:
        return Timeout(str(error))
    if response is not None and response.status_code < 500 and response.status_code not in (408, 409):
        return Permanent(str(error), code=f"http_{response.status_code}")
    return Transient(str(error))


def summarise(ask: Ask) -> Callable[[Work], str]:
    def handler(work: Work) -> str:
        if not work.input or not work.input.strip():
            raise Contract("there is no text")
        left = (work.deadline - datetime.now(timezone.utc)).total_seconds() if work.deadline else MOST_SECONDS
        try:
            reply = ask(work.input, min(max(left, 1.0), MOST_SECONDS))
        except (anthropic.APIError, openai.APIError) as error:
            raise failure(error) from error
        work.used(input_tokens=reply.input_tokens, output_tokens=reply.output_tokens)
        if reply.end in ("refusal", "content_filter"):
            raise Permanent("the model refuses this text", code="refusal")
        if reply.end in ("max_tokens", "length") or not (reply.text or "").strip():
            raise InvalidOutput("the model did not come to an end", code=reply.end)
        return reply.text.strip()
    return handler


def agent() -> Agent:
    if os.environ.get("ANTHROPIC_API_KEY"):
        ask = ask_anthropic()
    elif os.environ.get("OPENAI_API_KEY"):
        ask = ask_openai()
    else:
        sys.exit("set ANTHROPIC_API_KEY or OPENAI_API_KEY; a server of your own may take any value")
    return Agent(Path(__file__).with_name("agent.json"), summarise(ask), concurrency=4)


if __name__ == "__main__":
    agent().run()  # until SIGTERM or SIGINT
