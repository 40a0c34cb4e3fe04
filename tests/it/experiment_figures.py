"""Recomputes what `baton experiments show --format json` says, from the topics alone and with none of Baton's code.

python experiment_figures.py BOOTSTRAP REGISTRY PREFIX SHOWN.json: prints each figure that differs; exit 1 if one does.
"""
import json, math, sys
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

bootstrap, registry, prefix, shown = sys.argv[1:]
shown = json.load(open(shown))[0]
decode = AvroDeserializer(SchemaRegistryClient({"url": registry}))


def read(name):
    """Every committed record of a topic, decoded, partition by partition."""
    topic = f"{prefix}.{name}"
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False,
                         "isolation.level": "read_committed", "enable.partition.eof": True})
    partitions = consumer.list_topics(topic).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    left, records = len(partitions), []
    while left:
        message = consumer.poll(30)
        assert message is not None, f"{topic} does not end"
        if message.error() and message.error().code() == KafkaError._PARTITION_EOF:
            left -= 1
        else:
            assert not message.error(), message.error()
            records.append(decode(message.value(), SerializationContext(topic, MessageField.VALUE)))
    consumer.close()
    return records


def millis(time):
    return round(time.timestamp() * 1000) if hasattr(time, "timestamp") else time


# What the topics say.
last = [one for one in read("experiments") if one["name"] == shown["name"]][-1]
variants = last["variants"]
place = {f"{last['name']}/{one['name']}": number for number, one in enumerate(variants)}
tasks = {}
for decision in read("routing-decisions"):
    if decision["variant"] not in place:
        continue
    task = tasks.setdefault(decision["taskId"], {"variants": set(), "begun": math.inf, "end": None})
    task["variants"].add(decision["variant"])
    task["begun"] = min(task["begun"], millis(decision["decidedAt"]))
for completion in read("completions"):
    if completion["taskId"] in tasks and completion["run"] == 1:
        tasks[completion["taskId"]]["end"] = completion
torn = [name for name, task in tasks.items() if len(task["variants"]) > 1]
assert tasks and not torn, f"tasks of several variants: {torn}"
ordered = [task for _, task in sorted(tasks.items(), key=lambda item: (item[1]["begun"], item[0]))]
for task in ordered:
    task["place"] = place[next(iter(task["variants"]))]
    end = task["end"]
    task["counts"] = end is not None and end["outcome"] != "CANCELLED"
    if task["counts"]:
        took = max(0, millis(end["completedAt"]) - task["begun"])
        task["took"] = took
        task["values"] = {"SUCCESS": float(end["outcome"] == "SUCCEEDED"), "LATENCY": math.log(max(1, took)),
                          "COST": float(end["usage"]["costMicros"])}


class Arms:
    """Control and variant: the estimates of their difference, one for each outcome, and what follows from them."""

    def __init__(self, share):
        self.share, self.values, self.estimates = share, ([], []), []

    def take(self, arm, value):
        control, variant = self.values
        if len(control) >= 5 and len(variant) >= 5:
            means = [sum(control) / len(control), sum(variant) / len(variant)]
            off = (value - means[1]) / self.share if arm else (means[0] - value) / (1 - self.share)
            self.estimates.append(means[1] - means[0] + off)
        self.values[arm].append(value)

    def spread(self):
        control, variant = self.values
        if min(len(control), len(variant)) < 30:
            return None
        scatter = [sum((value - sum(arm) / len(arm)) ** 2 for value in arm) for arm in self.values]
        both = sum(scatter) / (len(control) + len(variant))
        apart = (sum(control) / len(control) - sum(variant) / len(variant)) ** 2
        of = [max((scatter[arm] + apart) / len(self.values[arm]), both) for arm in (0, 1)]
        mean = self.mean()
        seen = sum((one - mean) ** 2 for one in self.estimates) / len(self.estimates)
        return max(of[0] / (1 - self.share) + of[1] / self.share, seen) or None

    def mean(self):
        return sum(self.estimates) / len(self.estimates) if self.estimates else 0.0

    def mixing(self):
        twice = -2 * math.log(0.05)
        return (twice + math.log(twice + 1)) / 1000

    def interval(self, level):
        variance, n, rho = self.spread(), len(self.estimates), self.mixing()
        if variance is None:
            return None, None
        width = math.sqrt(2 * variance * (n * rho + 1) / (n * n * rho) * math.log(math.sqrt(n * rho + 1) / level))
        return self.mean() - width, self.mean() + width

    def p_value(self):
        variance, n, rho = self.spread(), len(self.estimates), self.mixing()
        if variance is None:
            return 1.0
        exponent = (self.mean() * n) ** 2 * rho / (2 * variance * (n * rho + 1))
        return min(1.0, math.sqrt(n * rho + 1) * math.exp(-exponent))


def sample_ratio():
    shares = [one["share"] for one in variants]
    ends = [millis(one["stoppedAt"]) for one in variants if one["stoppedAt"] is not None]
    counts, evidence, most = [0] * len(shares), 0.0, 0.0
    for task in ordered:
        if task["begun"] >= min(ends, default=math.inf):
            continue
        at = task["place"]
        evidence += math.log((100 * shares[at] + counts[at]) / (100 + sum(counts)) / shares[at])
        most, counts[at] = max(most, evidence), counts[at] + 1
    return min(1.0, math.exp(-most))


faults = []


def same(what, said, counted):
    if said is None or counted is None or isinstance(said, str):
        fine = said == counted
    else:
        fine = abs(said - counted) <= 1e-6 * max(1.0, abs(counted))
    if not fine:
        faults.append(f"{what}: {said} is said, {counted} is counted")


rivals = len(variants) - 1
for number, (variant, said) in enumerate(zip(variants, shown["variants"], strict=True)):
    own = [task for task in ordered if task["place"] == number]
    ended = [task for task in own if task["counts"]]
    took = sorted(task["took"] for task in ended)
    usage = lambda field: sum(task["end"]["usage"][field] for task in ended)
    succeeded = sum(task["values"]["SUCCESS"] for task in ended)
    quantile = lambda part: took[math.ceil(part * len(took)) - 1] if took else None
    per_task = lambda all: all / len(ended) if ended else None
    for field, counted in {
        "name": variant["name"], "strategy": variant["strategy"], "share": variant["share"],
        "tasks": len(own), "open": sum(task["end"] is None for task in own),
        "cancelled": len(own) - len(ended) - sum(task["end"] is None for task in own),
        "ended": len(ended), "succeeded": succeeded, "successRate": per_task(succeeded),
        "p50Ms": quantile(0.5), "p95Ms": quantile(0.95), "inputTokens": usage("inputTokens"),
        "outputTokens": usage("outputTokens"), "costMicros": usage("costMicros"),
        "costMicrosPerTask": per_task(usage("costMicros")),
    }.items():
        same(f"{variant['name']}.{field}", said[field], counted)
    for comparison in said["comparisons"]:
        metric = comparison["metric"]
        arms = Arms(variant["share"] / (variant["share"] + variants[0]["share"]))
        for task in ordered:
            if task["counts"] and task["place"] in (0, number):
                arms.take(int(task["place"] == number), task["values"][metric])
        low, high = arms.interval(0.05 / rivals)
        told = {"SUCCESS": lambda value: max(-1, min(1, value)), "LATENCY": math.expm1, "COST": lambda value: value}
        as_told = lambda value: None if value is None else told[metric](value)
        for field, counted in {"estimate": as_told(arms.mean()), "low": as_told(low), "high": as_told(high),
                               "pValue": min(1.0, arms.p_value() * rivals)}.items():
            same(f"{variant['name']}.{metric}.{field}", comparison[field], counted)
    assert len(said["comparisons"]) == (3 if number else 0), f"{variant['name']} is not compared in three ways"
same("sampleRatio.pValue", shown["sampleRatio"]["pValue"], sample_ratio())
print("\n".join(faults) or f"all agree, over {len(ordered)} tasks")
sys.exit(bool(faults))
