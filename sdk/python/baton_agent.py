"""Agents for Baton in Python: a function becomes an agent that takes assignments from Kafka and reports.

    definition = {"agentName": "Word Counter", "description": "Counts the words of a text."}
    Agent(definition, lambda work: {"words": len(work.input.split())}).run()  # until SIGTERM or SIGINT

What the handler returns is the output; what it raises (`Transient`, `Declined` …) says what went wrong. It runs in a
thread, and polling goes on meanwhile. No work is lost: an offset is committed only when the brokers have the report.
An agent killed in between gets the assignment again with the same `work.effect_key`: side effects go under that key.
Brokers and registry may be away: the agent says so, waits and goes on. `TestAgent` is for unit tests."""
import collections, itertools, json, os, re, signal, socket, sys, threading, time
from concurrent.futures import Future
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable
import httpx
from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient, SchemaRegistryError, avro
from confluent_kafka.serialization import SerializationError
KEPT, HELD = 1_000, 10_000  # answers and withdrawals remembered; offsets that wait for an earlier one's end
RETRY_S, ASK_S, POLL_S = 1.0, 3.0, 0.1  # between two tries; for a broker's answer; for a record
AWAY, NO_SCHEMA = (KafkaException, BufferError, SchemaRegistryError, httpx.HTTPError, json.JSONDecodeError), 40403
JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
Record = dict[str, Any]  # fields as in docs/agents.md; in assignments times are datetimes, input and outputs text
class Failure(Exception):
    "The work failed as its class says; `code` is the agent's own, `retry_after` in seconds."; error_class = "TRANSIENT"
    def __init__(self, message: str = "", *, code: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code, self.retry_after = code, retry_after
class Transient(Failure): "Another try might work; so too any other exception."
class RateLimited(Failure): "A service asks to wait: `retry_after`."; error_class = "RATE_LIMITED"
class Timeout(Failure): "A service did not answer in time; so too a TimeoutError."; error_class = "TIMEOUT"
class InvalidOutput(Failure): "What was produced is not what was asked for."; error_class = "INVALID_OUTPUT"
class Contract(Failure): "The input breaks the agent's contract."; error_class = "CONTRACT"
class Auth(Failure): "The agent's credentials were refused."; error_class = "AUTH"
class Permanent(Failure): "No further try will help."; error_class = "PERMANENT"
class Declined(Exception): "Not mine, give it to another agent; the message says why."; status = "DECLINED"
class InputRequired(Exception): "A person must answer; the message says what."; status = "INPUT_REQUIRED"
class Withdrawn(Exception): "Nobody waits for the work any more; the message says why."

class Work:
    """One assignment under way: what the handler is given."""
    def __init__(self, assignment: Record, text: bool, say: Callable[[Record], object], trace: str | None = None):
        self.assignment, self.traceparent, self._say = assignment, trace, say
        self.objective: str = assignment["objective"]
        self.effect_key: str = assignment["effectKey"]  # the same for every attempt at the step
        self.input: Any = _parsed(assignment.get("input"), text)  # text where the format is text/*, else JSON's value
        self.context = [{**step, "output": _parsed(step["output"])} for step in assignment.get("context", ())]
        ends = (assignment.get("attemptDeadline"), assignment.get("taskDeadline"))  # an answer after it is in vain
        self.deadline: datetime | None = min((end for end in ends if end), default=None)
        self.withdrawn, self.reason = threading.Event(), ""  # set when nobody waits any more: nothing is reported then
        self._ids = {key: assignment[key] for key in ("taskId", "assignmentId", "agentName")}
        self._usage = collections.Counter[str]()
    def progress(self, share: float, message: str = "") -> None:
        """Says how far the work is (0 to 1): the wait for the next word begins anew. `Withdrawn` if nobody waits."""
        if self.withdrawn.is_set(): raise Withdrawn(self.reason)
        self._say(self._report("PROGRESS", progress=min(1.0, max(0.0, share)), message=message))
    def used(self, *, input_tokens: int = 0, output_tokens: int = 0, cost_micros: int = 0) -> None:
        """Adds to what the work has cost, money in millionths of the currency; reported however the work ends."""
        self._usage.update(inputTokens=int(input_tokens), outputTokens=int(output_tokens), costMicros=int(cost_micros))
    def _report(self, status: str, **said: Any) -> Record:
        usage = {"usage": dict(self._usage)} if self._usage and status != "PROGRESS" else {}
        return {**self._ids, "status": status, **said, **usage}
    def _withdraw(self, reason: str) -> None:
        self.reason = reason
        self.withdrawn.set()

class Agent:
    """An agent. definition: a dict, or a JSON file's path. concurrency: assignments worked on at once. bootstrap: with
    commas; else the environment's BOOTSTRAP, else localhost:9092. registry: may hold user:password@; else REGISTRY,
    else http://localhost:8081. prefix: of topics and groups; else PREFIX, else baton. client: more for librdkafka; else
    CLIENT, as JSON. register: False if `baton agents register` does it. heartbeat: seconds between signs of life, 0 =
    none. grace: seconds for what is in hand when told to stop. log: takes its lines, else standard error does."""
    def __init__(self, definition: Record | str | Path, handler: Callable[[Work], Any], *, concurrency: int = 1,
                 bootstrap: str | None = None, registry: str | None = None, prefix: str | None = None,
                 client: Record | None = None, register: bool = True, heartbeat: float = 10, grace: float = 30,
                 log: Callable[[str], object] = lambda line: print(line, file=sys.stderr, flush=True)) -> None:
        if concurrency < 1: raise ValueError(f"concurrency is {concurrency}: at least 1 is needed")
        given = definition if isinstance(definition, dict) else json.loads(Path(definition).read_text("utf-8"))
        self.definition, self.handler, self.topic_name, env = given, handler, topic_name(given), os.environ
        formats = [str((given.get(it) or {}).get("format", "text/plain")).lower() for it in ("input", "output")]
        self._text, self._json = formats[0].startswith("text/"), formats[1] == "application/json"
        self._prefix, self._instance = prefix or env.get("PREFIX", "baton"), f"{socket.gethostname()}-{os.getpid()}"
        self._topic, group = (f"{self._prefix}.{kind}.{self.topic_name}" for kind in ("assignments", "agent"))
        client = json.loads(env.get("CLIENT", "{}")) if client is None else client
        self._client = {"client.id": self._instance, "log_level": 2, **client,
                        "bootstrap.servers": bootstrap or env.get("BOOTSTRAP", "localhost:9092"),
                        "error_cb": lambda error: self._say(f"Kafka: {error.str()}")}
        # The client commits what is stored: soon, before it gives a partition back, and at the end.
        self._group = {"session.timeout.ms": 10_000, **self._client, "group.id": group, "enable.auto.commit": True,
                       "enable.auto.offset.store": False, "auto.commit.interval.ms": 200,
                       "auto.offset.reset": "earliest", "isolation.level": "read_committed"}
        url = registry or env.get("REGISTRY", "http://localhost:8081")
        self._avro = avro.AvroDeserializer(SchemaRegistryClient({"url": url, "timeout": 10, "max.retries": 0}))
        self._concurrency, self._register, self._heartbeat, self._grace = concurrency, register, heartbeat, grace
        self._answers, self._withdrawn = dict[str, "Future[Record | None]"](), dict[str, str]()  # oldest first
        self._working, self._jobs, self._said = dict[str, Work](), set[Callable[[], None]](), set[str]()
        self._held: dict[int, dict[int, bool]] = {}  # by partition the offsets in hand, and if each is settled
        self._log, self._lock, self._free = log, threading.Lock(), threading.Semaphore(concurrency)
        self._ended, self._over = threading.Event(), threading.Event()  # some work has, all has
        self._beat_at, self._leave_at, self._paused = 0.0, 0.0, False  # when the next is due; 0 = not told to leave
    def stop(self) -> None:
        """As SIGTERM: take nothing more, finish what is in hand, report, commit, leave; then `run` returns."""
        self._leave_at, self._beat_at = self._leave_at or time.monotonic() + self._grace, 0.0  # signals take no locks
    def run(self) -> None:
        """Registers the agent and works until told to stop. KafkaException: the client can never go on."""
        told = lambda *it: signal.default_int_handler(*it) if self._leave_at else self.stop()  # at the second: at once
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT): signal.signal(number, told)
        self._producer, consumer = Producer(self._client), Consumer(self._group)
        there = lambda topic, remedy: self._until(f"waiting for {topic} (if it is missing, {remedy})",
                                                  lambda: _partitions(consumer, topic), early=True)
        register = lambda: self._send("agents", self.topic_name, self.definition).result()
        threading.Thread(target=self._deliver, daemon=True).start()
        try:
            if self._register and there(f"{self._prefix}.agents", "`baton apply` or `baton dev` creates it"):
                self._until("the definition waits", register, early=True)
            if there(self._topic, "a worker makes it for a sound definition: `baton agents list`"):
                threading.Thread(target=self._listen, daemon=True).start()
                consumer.subscribe([self._topic], on_assign=self._given, on_revoke=self._taken)
                self._work(consumer)
        finally:
            self._over.set()
            for work in list(self._working.values()): work._withdraw("the agent has stopped")
            closing = threading.Thread(target=consumer.close, daemon=True)  # which waits for brokers that are away
            closing.start(); closing.join(ASK_S)
            self._producer.flush(ASK_S)
            self._producer.purge()
    def _deliver(self) -> None:
        while not self._over.is_set(): self._producer.poll(POLL_S)
    def _work(self, consumer: Consumer) -> None:
        """Polls and hands out what comes, until told to stop and all in hand is finished, or the grace is over."""
        while not self._leave_at or self._jobs and time.monotonic() < self._leave_at:
            self._ended.clear()
            self._store(consumer)
            if time.monotonic() >= self._beat_at: self._beat()
            full = len(self._jobs) >= 2 * self._concurrency or any(len(held) > HELD for held in self._held.values())
            if full or self._leave_at:
                if self._ended.wait(RETRY_S): continue  # reading again after a pause takes up to a second
                consumer.pause(consumer.assignment())
                self._paused, message = True, consumer.poll(0)
            else:
                if self._paused: consumer.resume(consumer.assignment())
                self._paused, message = False, consumer.poll(POLL_S)
            if message: self._take(message)
        if self._jobs: self._log(f"{len(self._jobs)} not finished in {self._grace} s: delivered again")
        self._beat()
    def _take(self, message: Message) -> None:
        if (error := message.error()) and error.fatal(): raise KafkaException(error)
        if error: return self._say(f"Kafka: {error.str()}")
        partition, offset = message.partition() or 0, message.offset() or 0  # both are there if no error is
        held = self._held[partition]
        def job() -> None:
            try:
                with self._free:  # what is not begun by the end, or is another's by now, is not begun
                    held[offset] = not self._leave_at and self._held.get(partition) is held and self._serve(message)
            finally:
                self._jobs.discard(job)
                self._ended.set()
        held[offset] = False
        self._jobs.add(job)
        threading.Thread(target=job, daemon=True).start()  # the grace is its bound, not the end of the interpreter
    def _store(self, consumer: Consumer) -> None:
        """Stores for the group the offsets up to which everything is settled."""
        for partition, held in self._held.items():
            while held and held[first := next(iter(held))]:
                del held[first]
                consumer.store_offsets(offsets=[TopicPartition(self._topic, partition, first + 1)])
    def _given(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._held.update({it.partition: {} for it in partitions})
        self._log(f"{self._group['group.id']} works on partitions {sorted(self._held)}")
    def _taken(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._store(consumer)  # of lost partitions the client commits nothing
        for it in partitions: self._held.pop(it.partition, None)  # work in hand goes on; its offset is another's affair
    def _listen(self) -> None:
        """Follows the withdrawals from now on: all of them, in no group."""
        topic, reader = f"{self._prefix}.cancellations", Consumer({**self._group, "enable.auto.commit": False})
        found = self._until("withdrawals are not heard", lambda: _partitions(reader, topic))
        reader.assign([TopicPartition(topic, it, OFFSET_END) for it in found or ()])
        while not self._over.is_set():
            message = reader.poll(POLL_S)
            if message and (error := message.error()): self._say(f"withdrawals are not heard: {error.str()}")
            elif message and (it := self._decode(message, lambda it: (it["assignmentId"], it["reason"]))):
                with self._lock: work = self._working.get(_keep(self._withdrawn, *it))
                if work: work._withdraw(it[1])
        reader.close()
    def _serve(self, message: Message) -> bool:
        """One delivery, from its bytes to its delivered report; whether its offset may be stored."""
        trace = (dict(message.headers() or ()).get("traceparent") or b"").decode("utf-8", "replace") or None
        say = lambda report: self._send("agent-status", report["taskId"], report, trace)
        work = self._decode(message, lambda assignment: Work(assignment, self._text, say, trace))
        if late := work and work.deadline and work.deadline < datetime.now(timezone.utc):
            self._log(f"{work._ids['assignmentId']} is passed over: its deadline was {work.deadline}")
        report = self._answer(work) if work and not late else None
        while report and (error := say(report).exception()) and not self._over.is_set():
            if "output" in report and error.args[0] == KafkaError.MSG_SIZE_TOO_LARGE:
                report = _failed(work, Permanent(_told(error), code="too_large"))
            else:
                self._say(f"the report on {report['assignmentId']} waits: {_told(error)}")
                self._over.wait(RETRY_S)
        if report: self._said.clear()
        return not self._over.is_set()
    def _answer(self, work: Work) -> Record | None:
        """The report that ends the work, for a second delivery the first one's; None if withdrawn."""
        id, mine = work._ids["assignmentId"], Future[Record | None]()
        with self._lock:
            if not (first := self._answers.get(id)): self._working[_keep(self._answers, id, mine)] = work
            if id in self._withdrawn: work._withdraw(self._withdrawn[id])
        if first: return first.result()
        report = None if work.withdrawn.is_set() else self._done(work)
        mine.set_result(None if self._working.pop(id).withdrawn.is_set() else report)
        return mine.result()
    def _done(self, work: Work) -> Record:
        """Runs the handler. Whatever it does, there is a report."""
        work._say(work._report("ACCEPTED"))
        try: output = self.handler(work)
        except BaseException as error: return _failed(work, error)  # SystemExit too: it would end the thread alone
        try: text = JSON.encode(output).encode().decode()
        except (TypeError, ValueError, RecursionError) as error:
            return _failed(work, InvalidOutput(f"the output has no form in JSON: {error}"))
        # In a report a string stands for itself as text, so where the output is JSON it is a string of JSON.
        return work._report("SUCCEEDED", output=text if self._json and isinstance(output, str) else output)
    def _send(self, topic: str, key: str, record: Record, trace: str | None = None) -> Future[None]:
        """Gives the producer a record; the future is done when the brokers have it."""
        done, more = Future[None](), {"instance": self._instance, "time": int(time.time() * 1_000)}
        told = lambda error, _: done.set_exception(KafkaException(error)) if error else done.set_result(None)
        value = JSON.encode({**record, **(more if topic != "agents" else {})}).encode("utf-8", "replace")
        headers = [("traceparent", trace)] if trace else []
        try: self._producer.produce(f"{self._prefix}.{topic}", value, key, on_delivery=told, headers=headers)
        except (KafkaException, BufferError) as error: done.set_exception(error)
        return done
    def _beat(self) -> None:
        self._beat_at, name = time.monotonic() + (self._heartbeat or float("inf")), self.definition["agentName"]
        it = {"inFlight": min(len(self._jobs), self._concurrency), "capacity": self._concurrency * (not self._leave_at)}
        beat = {"agentName": name, "version": self.definition.get("version", "1.0.0"), **it}
        if self._heartbeat: self._send("heartbeats", name, beat)
    def _decode(self, message: Message, read: Callable[[Record], Any]) -> Any:
        """What is read of the record; None if it can never be read, or all was over before the registry answered."""
        try: return self._until("a record waits for its schema", lambda: read(self._avro(message.value())))
        except Exception as error:
            self._log(f"{message.topic()}/{message.partition()}/{message.offset()} is passed over: {_told(error)}")
    def _until(self, what: str, attempt: Callable[[], Any], early: bool = False) -> Any:
        """Tries while it may be mended, and says what is in the way. None: it is over, or `early` about to be."""
        while not self._over.is_set() and not (early and self._leave_at):
            try: return attempt()
            except Exception as error:
                never = isinstance(error, SerializationError) or getattr(error, "error_code", 0) == NO_SCHEMA
                if never or not isinstance(error, AWAY): raise  # another 404 than that is a wrong address
                self._say(f"{what}: {_told(error)}")
            time.sleep(RETRY_S)
    def _say(self, line: str) -> None:
        """Says what is in the way: each new reason once, whatever its numbers, until a report gets through again."""
        if (reason := re.sub(r"\(.*\)|\S*\d\S*", "", line)) not in self._said: self._log(line)
        self._said.add(reason)
def _partitions(client: Consumer, topic: str) -> list[int]:
    found = client.list_topics(topic, ASK_S).topics[topic]
    if found.error: raise KafkaException(found.error)
    return list(found.partitions)
def _failed(work: Work, error: BaseException) -> Record:
    if isinstance(error, (Declined, InputRequired)): return work._report(error.status, message=_told(error))
    other = Timeout if isinstance(error, TimeoutError) else Transient
    told = error if isinstance(error, Failure) else other(code=type(error).__name__)
    wait = None if told.retry_after is None else round(min(1e9, max(0, told.retry_after)) * 1_000)
    said = {"class": told.error_class, "code": told.code, "message": _told(error), "retryAfterMs": wait}
    return work._report("FAILED", error=said)
def _told(error: BaseException, causes: int = 5) -> str:
    first = error.args[0] if error.args else None
    text = first.str() if isinstance(first, KafkaError) else str(error) or type(error).__name__
    cause = _told(error.__cause__, causes - 1) if error.__cause__ and causes else ""
    return (text if cause in text else f"{text}: {cause}")[:4_000]  # a report has to hold it
def topic_name(definition: Record) -> str:
    """The agent's topic name and key: `Word Counter` is `word-counter`, from major 2 on `word-counter.v2`."""
    name, version = str(definition.get("agentName") or "").strip(), str(definition.get("version", "1.0.0"))
    if not re.fullmatch(r"(?i)(?!(none|done|unknown|end|finish|.*\.(dlq|v[0-9]+))$)[a-z0-9_ .-]{1,64}", name, re.A):
        raise ValueError(f'agentName "{name}": 1 to 64 of A-Z a-z 0-9 space . _ -, not reserved, not .dlq or .v2')
    if not (major := re.match("[0-9]+", version)): raise ValueError(f'version "{version}" is not like 1.0.0')
    return re.sub("[^a-z0-9._-]", "-", name.lower()) + (f".v{int(major[0])}" if int(major[0]) > 1 else "")
def _parsed(text: str | None, plain: bool = False) -> Any:
    try: return text if text is None or plain else json.loads(text)
    except ValueError: return text  # what is no JSON is a string
def _keep(kept: dict[str, Any], id: str, value: Any) -> str:
    while len(kept) >= KEPT: del kept[next(iter(kept))]
    kept[id] = value
    return id
class TestAgent:
    """Runs an agent's handler without Kafka: `TestAgent(agent).run("one two")["output"] == {"words": 2}`."""
    __test__, _ids = False, itertools.count(1)  # pytest has no test here
    def __init__(self, agent: Agent) -> None: self.agent = agent
    def run(self, input: Any = None, *, withdraw_after: int | None = None, **fields: Any) -> Record:
        """The report on one assignment, and its progress as `progressed`. `withdraw_after`: withdrawn (its status then)
        after so many words of progress. `fields`: of the assignment; the same `assignmentId` again: delivered twice."""
        plain = input is None or isinstance(input, str) and self.agent._text
        progressed: list[tuple[float, str]] = []
        assignment = {"taskId": "test", "assignmentId": f"test~{next(self._ids)}", "stepId": "1", "attempt": 1,
                      "agentName": self.agent.definition["agentName"], "effectKey": "test~1", "objective": "a test",
                      "input": input if plain else json.dumps(input), **fields}
        def say(report: Record) -> None:
            if report["status"] == "PROGRESS": progressed.append((report["progress"], report["message"]))
            if len(progressed) == withdraw_after: work._withdraw("test")
        work = Work(assignment, self.agent._text, say)
        return {"status": "WITHDRAWN", **(self.agent._answer(work) or {}), "progressed": progressed}
