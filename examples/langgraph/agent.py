"""A LangGraph graph as one agent, which answers letters about orders. Settings: BOOTSTRAP, REGISTRY, PREFIX, CLIENT.

    read ─▶ refund ─▶ (a person, above a limit)
      ├──▶ track  ─▶ write
      └──▶ (another agent)

Each node that has run is a word of progress; withdrawn work ends at the next one. The nodes compute, so that this runs
offline: a node that asks a model is a node all the same.
"""
import re
from pathlib import Path
from typing import TypedDict

from baton_agent import Agent, Contract, Declined, InputRequired, Work
from langgraph.graph import END, START, StateGraph

ORDERS = {"1001": {"price": 25, "parcel": "was delivered"}, "1002": {"price": 900, "parcel": "is on its way"}}
LIMIT = 100  # a refund above it takes a person
NODES = 3  # on the longest way


class State(TypedDict, total=False):
    letter: str
    order: str
    refunded: int
    says: str
    reply: str


def read(state: State) -> State:
    number = re.search(r"\border\s+#?(\d+)", state["letter"], re.I)
    if not number or number[1] not in ORDERS:
        raise Contract("the letter names no order that we know", code="no_order")
    return {"order": number[1]}


def topic(state: State) -> str:
    letter = state["letter"].lower()
    if re.search(r"\b(broken|damaged|refund|money back)\b", letter):
        return "refund"
    if re.search(r"\b(where|when|late|arrive\w*)\b", letter):
        return "track"
    raise Declined("it is neither about a refund nor about where an order is")


def refund(state: State) -> State:
    price = ORDERS[state["order"]]["price"]
    if price > LIMIT:
        raise InputRequired(f"may order {state['order']} be refunded with {price}?")
    # Where money really moves, the assignment's effect key goes along, so that it moves once.
    return {"refunded": price, "says": f"we have refunded {price}"}


def track(state: State) -> State:
    return {"says": f"your parcel {ORDERS[state['order']]['parcel']}"}


def write(state: State) -> State:
    return {"reply": f"Dear customer, about order {state['order']}: {state['says']}."}


builder = StateGraph(State)
for node in (read, refund, track, write):
    builder.add_node(node.__name__, node)
builder.add_edge(START, "read")
builder.add_conditional_edges("read", topic, ["refund", "track"])
builder.add_edge("refund", "write")
builder.add_edge("track", "write")
builder.add_edge("write", END)
graph = builder.compile()


def answer(work: Work) -> dict:
    if not work.input:
        raise Contract("there is no letter")
    state: State = {"letter": work.input}
    for done, step in enumerate(graph.stream(state, stream_mode="updates"), 1):
        for name, update in step.items():
            state.update(update)
            work.progress(done / NODES, name)
    return {key: state[key] for key in ("order", "reply", "refunded") if key in state}


agent = Agent(Path(__file__).with_name("agent.json"), answer, concurrency=4)

if __name__ == "__main__":
    agent.run()  # until SIGTERM or SIGINT
