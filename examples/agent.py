"""An agent on Kafka that counts words: killed at any moment, it still has one effect per assignment.

BOOTSTRAP=localhost:9092 REGISTRY=http://localhost:8081 python agent.py
Optional: PREFIX, LEDGER (a file), SECONDS (of work), CLIENT (more librdkafka settings, in JSON).
"""
import json, signal, sqlite3, threading, time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from os import environ as env
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

prefix, stop = env.get("PREFIX", "baton"), threading.Event()
topic, status = f"{prefix}.assignments.word-counter", f"{prefix}.agent-status"
client = {"bootstrap.servers": env["BOOTSTRAP"], **json.loads(env.get("CLIENT", "{}"))}
consumer = Consumer({"group.id": f"{prefix}.agent.word-counter", "isolation.level": "read_committed",
                     "enable.auto.commit": False, "auto.offset.reset": "earliest", **client})
producer = Producer(client)
registry = SchemaRegistryClient({"url": env["REGISTRY"]})
read = AvroDeserializer(registry)
write = AvroSerializer(registry, conf={"auto.register.schemas": False, "use.latest.version": True})

def work(task):
    """Does the work once per effect key; a second delivery gets the first one's output."""
    with closing(sqlite3.connect(env.get("LEDGER", "ledger.db"))) as ledger:
        ledger.execute("create table if not exists effects (key text primary key, output text)")
        done = ledger.execute("select output from effects where key = ?", [task["effectKey"]]).fetchone()
        if done: return done[0]
        time.sleep(float(env.get("SECONDS", "0")))
        output = json.dumps({"words": len((task["input"] or task["objective"]).split())})
        # Effect and memory of it in one step. An effect elsewhere (a payment, a mail) takes the key along instead.
        with ledger: ledger.execute("insert or ignore into effects values (?, ?)", [task["effectKey"], output])
        return output

def answer(message):
    task = read(message.value(), SerializationContext(topic, MessageField.VALUE))
    report = {key: task[key] for key in ("taskId", "assignmentId", "agentName")}
    try: return report | {"status": "SUCCEEDED", "output": work(task)}
    except Exception as e: return report | {"status": "FAILED", "error": {"class": "PERMANENT", "message": str(e)}}

def finish(message, report):
    """Report first, offset second: killed between the two, the assignment comes again, and so does its report."""
    producer.produce(status, write(report, SerializationContext(status, MessageField.VALUE)), key=report["taskId"])
    if producer.flush(30): raise SystemExit("the report was not delivered")
    try: consumer.commit(message, asynchronous=False)
    except KafkaException as e: print("another instance has the partition now:", e, flush=True)

for name in (signal.SIGTERM, signal.SIGINT): signal.signal(name, lambda *_: stop.set())
consumer.subscribe([topic])
jobs = []  # what is being worked on; polling goes on meanwhile
with ThreadPoolExecutor(1) as pool:
    while jobs or not stop.is_set():
        message = consumer.poll(0.1)  # also what keeps us in the group: max.poll.interval.ms
        if message and not message.error(): jobs.append((message, pool.submit(answer, message)))
        if jobs or stop.is_set(): consumer.pause(consumer.assignment())
        while jobs and jobs[0][1].done(): finish(jobs[0][0], jobs.pop(0)[1].result())
        if not jobs and not stop.is_set(): consumer.resume(consumer.assignment())
consumer.close()
