"""The handler's side of the SDK, by its test double, and what needs no broker."""
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path

from baton_agent import (
    Agent, Auth, Contract, Declined, InputRequired, InvalidOutput, Permanent, RateLimited, TestAgent, Timeout,
    Transient, Withdrawn, topic_name,
)

TEXT = {"agentName": "Word Counter", "description": "Counts words."}
JSON = {**TEXT, "input": {"format": "application/json"}, "output": {"format": "application/json"}}


def double(handler, definition=TEXT):
    return TestAgent(Agent(definition, handler, log=lambda line: None))


def raising(error):
    def handler(work):
        raise error
    return handler


class Handlers(unittest.TestCase):
    def test_what_a_handler_returns_is_the_output_under_the_ids_of_the_assignment(self):
        report = double(lambda work: {"words": len(work.input.split())}).run("one two three")
        self.assertEqual((report["status"], report["output"]), ("SUCCEEDED", {"words": 3}))
        self.assertEqual((report["taskId"], report["agentName"]), ("test", "Word Counter"))
        self.assertRegex(report["assignmentId"], r"test~\d+")
        self.assertIsNone(double(lambda work: None).run()["output"])

    def test_input_and_output_follow_the_formats_of_the_definition(self):
        self.assertEqual(double(lambda work: type(work.input).__name__).run("[1]")["output"], "str")
        self.assertEqual(double(lambda work: work.input, JSON).run("3")["output"], '"3"', "a string of JSON")
        self.assertEqual(double(lambda work: len(work.input), JSON).run([1, 2])["output"], 2)
        context = [{"stepId": "1", "agentName": "A", "output": '{"a":1}'},
                   {"stepId": "2", "agentName": "B", "output": "plain"}]
        outputs = double(lambda work: [step["output"] for step in work.context]).run("", context=context)
        self.assertEqual(outputs["output"], [{"a": 1}, "plain"])

    def test_what_a_handler_raises_says_what_went_wrong(self):
        caused = ValueError("off")
        caused.__cause__ = KeyError("by one")
        for error, kind, message, code, wait in [
            (Transient("again"), "TRANSIENT", "again", None, None),
            (RateLimited("later", retry_after=1.5), "RATE_LIMITED", "later", None, 1500),
            (RateLimited("now", retry_after=0.0), "RATE_LIMITED", "now", None, 0),
            (Timeout("slow"), "TIMEOUT", "slow", None, None),
            (TimeoutError("no answer"), "TIMEOUT", "no answer", "TimeoutError", None),
            (InvalidOutput("no verse"), "INVALID_OUTPUT", "no verse", None, None),
            (Contract("no text"), "CONTRACT", "no text", None, None),
            (Auth("key", code="expired"), "AUTH", "key", "expired", None),
            (Permanent("never"), "PERMANENT", "never", None, None),
            (caused, "TRANSIENT", "off: 'by one'", "ValueError", None),
            (RateLimited("odd", retry_after=float("nan")), "RATE_LIMITED", "odd", None, 0),
            (ZeroDivisionError(), "TRANSIENT", "ZeroDivisionError", "ZeroDivisionError", None),
            (SystemExit(3), "TRANSIENT", "3", "SystemExit", None),
        ]:
            with self.subTest(error=error):
                report = double(raising(error)).run()
                told = {"class": kind, "message": message, "code": code, "retryAfterMs": wait}
                self.assertEqual((report["status"], report["error"]), ("FAILED", told))
        declined = double(raising(Declined("not on Mondays"))).run()
        self.assertEqual((declined["status"], declined["message"]), ("DECLINED", "not on Mondays"))
        self.assertEqual(double(raising(InputRequired("which one?"))).run()["status"], "INPUT_REQUIRED")
        self.assertLess(len(double(raising(ValueError("x" * 10**6))).run()["error"]["message"]), 10_000)

    def test_an_output_without_a_form_in_json_is_invalid_output(self):
        circle = []
        circle.append(circle)
        for output in (object(), {1, 2}, float("nan"), {(1, 2): 3}, b"bytes", "\ud800", circle):
            with self.subTest(output=type(output)):
                self.assertEqual(double(lambda work: output).run()["error"]["class"], "INVALID_OUTPUT")

    def test_progress_is_kept_in_its_bounds_and_usage_adds_up_however_the_work_ends(self):
        def handler(work):
            work.progress(0.5, "half")
            work.progress(7)
            work.progress(float("nan"))
            work.used(input_tokens=3, cost_micros=7)
            work.used(input_tokens=1, output_tokens=2)
            raise Permanent("no")
        report = double(handler).run()
        self.assertEqual(report["progressed"], [(0.5, "half"), (1.0, ""), (0.0, "")])
        self.assertEqual(report["usage"], {"inputTokens": 4, "outputTokens": 2, "costMicros": 7})

    def test_withdrawn_work_hears_of_it_and_is_not_reported(self):
        heard = []
        def handler(work):
            work.progress(0.1)
            heard.extend([work.withdrawn.is_set(), work.reason])
            try:
                work.progress(0.2)
            except Withdrawn as error:
                heard.append(str(error))
                raise
        report = double(handler).run(withdraw_after=1)
        self.assertEqual((report["status"], report["progressed"]), ("WITHDRAWN", [(0.1, "")]))
        self.assertEqual(heard, [True, "test", "test"])
        self.assertNotIn("output", double(lambda work: "done").run(withdraw_after=0))

    def test_a_second_delivery_gets_the_first_ones_answer(self):
        calls, gate = [], threading.Event()
        def handler(work):
            calls.append(work)
            gate.wait(5)
            return len(calls)
        agent = double(handler)
        with ThreadPoolExecutor() as pool:
            twice = [pool.submit(agent.run, assignmentId="a-1") for _ in range(2)]
            gate.set()
            self.assertEqual([one.result(5)["output"] for one in twice], [1, 1])
        self.assertEqual((agent.run(assignmentId="a-1")["output"], agent.run()["output"]), (1, 2))
        self.assertEqual(TestAgent(agent.agent).run()["output"], 3, "another double delivers nothing twice")

    def test_the_deadline_is_the_earlier_one(self):
        early, late = (datetime(2030, 1, day, tzinfo=timezone.utc) for day in (1, 2))
        deadline = double(lambda work: work.deadline and work.deadline.day)
        self.assertEqual(deadline.run(attemptDeadline=late, taskDeadline=early)["output"], 1)
        self.assertEqual(deadline.run(attemptDeadline=late, taskDeadline=None)["output"], 2)
        self.assertIsNone(deadline.run()["output"])


class Definitions(unittest.TestCase):
    def test_topic_names_are_made_as_baton_makes_them(self):
        def name(name, version="1.0.0"):
            return topic_name({**TEXT, "agentName": name, "version": version})
        self.assertEqual([name("Word Counter"), name(" A.b_c-D ", "1.9.0"), name("Word Counter", "2.0.0")],
                         ["word-counter", "a.b_c-d", "word-counter.v2"])
        for bad in ("", "none", "DONE", "x.dlq", "x.v2", "a/b", "é", "ſ", "x" * 65, "two\nlines"):
            with self.subTest(name=bad), self.assertRaisesRegex(ValueError, "agentName"):
                name(bad)
        with self.assertRaisesRegex(ValueError, "version"):
            name("Word Counter", "new")

    def test_a_definition_may_be_a_file_and_a_bad_option_is_refused(self):
        file = Path(__file__).parents[2] / "examples" / "agent.json"
        self.assertEqual(Agent(file, print).topic_name, Agent(str(file), print).topic_name)
        with self.assertRaisesRegex(ValueError, "concurrency is 0"):
            Agent(TEXT, print, concurrency=0)


if __name__ == "__main__":
    unittest.main()
