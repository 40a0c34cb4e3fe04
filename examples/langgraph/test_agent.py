"""The graph as an agent, without Kafka."""
import unittest

from agent import agent
from baton_agent import TestAgent


class OrderDesk(unittest.TestCase):
    def test_a_letter_takes_the_way_that_its_words_ask_for(self):
        desk = TestAgent(agent)
        report = desk.run("Order 1001 arrived broken.")
        self.assertEqual(report["output"], {
            "order": "1001", "refunded": 25, "reply": "Dear customer, about order 1001: we have refunded 25."})
        self.assertEqual([name for _, name in report["progressed"]], ["read", "refund", "write"])
        self.assertEqual(report["progressed"][-1][0], 1.0)
        report = desk.run("Where is order #1002?")
        self.assertEqual(report["output"]["reply"], "Dear customer, about order 1002: your parcel is on its way.")
        self.assertEqual([name for _, name in report["progressed"]], ["read", "track", "write"])

    def test_what_a_node_raises_is_how_the_work_ends(self):
        desk = TestAgent(agent)
        self.assertEqual(desk.run("Order 1002 is damaged.")["status"], "INPUT_REQUIRED")
        self.assertEqual(desk.run("I like order 1001.")["status"], "DECLINED")
        for letter in ("Order 7 is broken.", ""):
            self.assertEqual(desk.run(letter)["error"]["class"], "CONTRACT")

    def test_withdrawn_work_ends_at_the_next_node(self):
        report = TestAgent(agent).run("Where is order 1001?", withdraw_after=1)
        self.assertEqual((report["status"], [name for _, name in report["progressed"]]), ("WITHDRAWN", ["read"]))


if __name__ == "__main__":
    unittest.main()
