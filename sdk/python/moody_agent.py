"""An agent for tests that does as its input says; what it begins and hears is printed. GATE names a file that lets work
end."""
import os
import time
from pathlib import Path

import baton_agent as baton


def handler(work):
    print(f"begun {work.assignment['assignmentId']}\n", end="", flush=True)  # in one write: there are several threads
    match work.input:
        case "wait":
            while not Path(os.environ["GATE"]).exists():
                time.sleep(0.02)
            return "waited"
        case "stuck":
            work.withdrawn.wait()
            print("withdrawn:", work.reason, flush=True)
            return "never reported"
        case "rate":
            raise baton.RateLimited("later", code="quota", retry_after=2)
        case "contract":
            raise baton.Contract("no such column")
        case "crash":
            return None + work.input
        case "rubbish":
            return {1, 2}
        case "huge":
            return "x" * 3_000_000
        case _:
            work.progress(0.5, "counting")
            work.used(input_tokens=3, output_tokens=1, cost_micros=7)
            return {"words": len(work.input.split("-"))}


definition = {"agentName": "Moody", "description": "does as it is told", "output": {"format": "application/json"}}
baton.Agent(definition, handler, concurrency=int(os.environ.get("CONCURRENCY", "1"))).run()
print("ended in order", flush=True)
