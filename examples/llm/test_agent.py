"""The agent against a server on this machine that speaks both APIs, through the real client packages."""
import json
import os
import threading
import time
import unittest
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest import mock

import agent as example
from baton_agent import TestAgent

DONE = {"anthropic": "end_turn", "openai": "stop"}


def body(api, text, end, refusal=None):
    """An answer of this API with 12 tokens in and 5 out."""
    if api == "anthropic":
        return {"id": "m", "type": "message", "role": "assistant", "model": "some-model", "stop_reason": end,
                "stop_sequence": None, "content": [{"type": "text", "text": text}] if text else [],
                "usage": {"input_tokens": 12, "output_tokens": 5}}
    message = {"role": "assistant", "content": text, "refusal": refusal}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "some-model",
            "choices": [{"index": 0, "message": message, "finish_reason": end}],
            "usage": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}}


class Server(ThreadingHTTPServer):
    """Answers each request with `answer`: status, headers, JSON, seconds to wait before; keeps what was asked."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.asked = None, []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append((self.path, self.headers, asked))
        status, headers, answer, seconds = self.server.answer
        time.sleep(seconds)
        content = json.dumps(answer).encode()
        try:
            self.send_response(status)
            for name, value in {"content-type": "application/json", "content-length": len(content), **headers}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            pass  # the client has given up

    def log_message(self, *_):
        pass


class Summariser(unittest.TestCase):
    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)

    def double(self, api):
        url = self.server.url + ("/v1" if api == "openai" else "")
        env = {f"{api.upper()}_API_KEY": "a-key", f"{api.upper()}_BASE_URL": url, "MODEL": "some-model"}
        kept = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_BASE_URL"))}
        with mock.patch.dict(os.environ, {**kept, **env}, clear=True):
            return TestAgent(example.agent())

    def run_with(self, api, answer, status=200, seconds=0, headers=None, **fields):
        self.server.answer = (status, {"x-should-retry": "false", **(headers or {})}, answer, seconds)
        return self.double(api).run("A long text.", **fields)

    def test_the_answer_is_the_output_and_its_tokens_are_reported(self):
        for api in ("anthropic", "openai"):
            with self.subTest(api=api):
                report = self.run_with(api, body(api, " In short: it is long. ", DONE[api]))
                self.assertEqual((report["status"], report["output"]), ("SUCCEEDED", "In short: it is long."))
                self.assertEqual(report["usage"], {"inputTokens": 12, "outputTokens": 5, "costMicros": 0})
        self.assertEqual([path for path, _, _ in self.server.asked], ["/v1/messages", "/v1/chat/completions"])
        for _, headers, asked in self.server.asked:
            self.assertEqual((headers["authorization"], asked["model"]), ("Bearer a-key", "some-model"))
            self.assertEqual(asked["messages"][-1], {"role": "user", "content": "A long text."})

    def test_the_providers_errors_get_their_classes(self):
        error = {"type": "error", "error": {"type": "some_error", "message": "says the provider"}}
        for api in ("anthropic", "openai"):
            for status, kind, code in [(401, "AUTH", None), (403, "AUTH", None), (429, "RATE_LIMITED", None),
                                       (400, "PERMANENT", "http_400"), (413, "PERMANENT", "http_413"),
                                       (500, "TRANSIENT", None), (529, "TRANSIENT", None)]:
                with self.subTest(api=api, status=status):
                    told = self.run_with(api, error, status, headers={"retry-after": "7"})["error"]
                    self.assertEqual((told["class"], told["code"]), (kind, code))
                    self.assertEqual(told["retryAfterMs"], 7_000 if status == 429 else None)
                    self.assertIn("says the provider", told["message"])

    def test_no_answer_before_the_deadline_is_a_timeout_and_no_server_transient(self):
        soon = datetime.now(timezone.utc) + timedelta(seconds=1)
        for api in ("anthropic", "openai"):
            with self.subTest(api=api), mock.patch.object(example, "RETRIES", 0):
                report = self.run_with(api, body(api, "late", DONE[api]), seconds=3, attemptDeadline=soon)
                self.assertEqual(report["error"]["class"], "TIMEOUT")
                away = self.double(api)
                self.server.shutdown()
                self.server.server_close()
                self.assertEqual(away.run("A long text.")["error"]["class"], "TRANSIENT")
                self.setUp()

    def test_a_refusal_is_permanent_and_what_has_no_end_invalid(self):
        for api, answer, kind, code in [
            ("anthropic", body("anthropic", "", "refusal"), "PERMANENT", "refusal"),
            ("openai", body("openai", None, "stop", refusal="I will not."), "PERMANENT", "refusal"),
            ("openai", body("openai", None, "content_filter"), "PERMANENT", "refusal"),
            ("anthropic", body("anthropic", "In sho", "max_tokens"), "INVALID_OUTPUT", "max_tokens"),
            ("openai", body("openai", "In sho", "length"), "INVALID_OUTPUT", "length"),
        ]:
            with self.subTest(api=api, kind=kind):
                report = self.run_with(api, answer)
                self.assertEqual((report["error"]["class"], report["error"]["code"]), (kind, code))
                self.assertEqual(report["usage"]["outputTokens"], 5, "it was paid for all the same")

    def test_nothing_is_asked_about_no_text_nor_without_a_key(self):
        self.assertEqual(self.double("openai").run(" ")["error"]["class"], "CONTRACT")
        self.assertEqual(self.server.asked, [])
        with mock.patch.dict(os.environ, {"ANTHROPIC_API_KEY": "", "OPENAI_API_KEY": ""}):
            self.assertRaisesRegex(SystemExit, "OPENAI_API_KEY", example.agent)


if __name__ == "__main__":
    unittest.main()
