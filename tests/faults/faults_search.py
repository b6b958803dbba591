"""Faults of Elasticsearch as the projectors see it: refusals, lost and slow answers, a full disk, documents it refuses."""
import os
import random

import content
from bson import Int64
from faults import Fault, register

# Absolute, because a small disk has no meaningful percentages. The monitor looks every ten seconds at most.
WATERMARKS = {"cluster.routing.allocation.disk.threshold_enabled": True,
              "cluster.routing.allocation.disk.watermark.low": "160mb", "cluster.routing.allocation.disk.watermark.high": "140mb",
              "cluster.routing.allocation.disk.watermark.flood_stage": "120mb", "cluster.info.update.interval": "10s"}
LEFT_FREE_MIB = 80


class GateFault(Fault):
    """The gates of all programs that write do it; at least one request must have met it."""

    def needs(self):
        return {"elasticsearch", "projectors", "consumers"}

    def inject(self):
        for gate in self.world.gates.values():
            gate.rules.rng, gate.rules.hits = random.Random(self.args.get("seed", 0)), 0
            gate.rules.status = self.args.get("status", 429)
            self.spoil(gate.rules)

    def spoil(self, rules):
        raise NotImplementedError

    def bite(self):
        self.world.eventually(lambda: any(gate.rules.hits for gate in self.world.gates.values()), self.BITE_SECONDS,
                              f"{self.kind} met a request")

    def heal(self):
        for gate in self.world.gates.values():
            gate.rules.clear()


@register
class StormItems(GateFault):
    """A share of the items of every bulk is refused."""

    kind = "storm-items"

    def spoil(self, rules):
        rules.item_share = self.args["share"]


@register
class StormRequests(GateFault):
    """A share of the requests is refused as a whole."""

    kind = "storm-requests"

    def spoil(self, rules):
        rules.request_share = self.args["share"]


@register
class AnswersLost(GateFault):
    """A share of the bulks is carried out and never answered."""

    kind = "answers-lost"

    def spoil(self, rules):
        rules.lose_share = self.args["share"]


@register
class SlowBulks(GateFault):
    kind = "slow-bulks"

    def spoil(self, rules):
        rules.delay = self.args["ms"] / 1000


@register
class FullDisk(Fault):
    """The disk fills up until Elasticsearch sets its read-only block, and is freed."""

    kind = "full-disk"

    def needs(self):
        return {"elasticsearch"}

    def possible(self):
        return None if self.world.servers.disk else "no tmpfs could be mounted as Elasticsearch's data folder"

    @property
    def filler(self):
        return os.path.join(self.world.servers.disk, "filler")

    def inject(self):
        self.world.stack.es("PUT", "/_cluster/settings", {"persistent": WATERMARKS})
        with open(self.filler, "wb") as f:
            room = os.statvfs(self.world.servers.disk)
            os.posix_fallocate(f.fileno(), 0, max(room.f_bavail * room.f_frsize - (LEFT_FREE_MIB << 20), 1))

    def bite(self):
        self.world.eventually(self._blocked, 60, "Elasticsearch sets the read-only block", pause=0.3)

    def _blocked(self):
        index = self.world.corner.index
        answer = self.world.stack.es("GET", f"/{index}/_settings/index.blocks.read_only_allow_delete?flat_settings=true")
        return any(one["settings"].get("index.blocks.read_only_allow_delete") == "true" for one in answer.values())

    def heal(self):
        if self.world.servers.disk and os.path.exists(self.filler):
            os.unlink(self.filler)

    def healed(self):
        self.world.eventually(lambda: not self._blocked(), 60, "Elasticsearch lifts the read-only block", pause=0.3)


@register
class Poison(Fault):
    """Documents that cannot be indexed: dead letters, mended afterwards."""

    kind = "poison"

    def needs(self):
        return {"mongodb", "mysql", "elasticsearch", "kafka", "projectors", "consumers"}

    @property
    def ids(self):
        return [product_id for product_id, _ in self.args["poisons"]]

    def inject(self):
        for product_id, kind in self.args["poisons"]:
            made = content.poison(product_id, kind)
            self.world.corner.products.replace_one({"_id": product_id}, made, upsert=True)

    def bite(self):
        letters = self.world.projector_state("dead_letters")
        self.world.eventually(lambda: letters.count_documents({"_id": {"$in": self.ids}}) == len(self.ids), self.BITE_SECONDS * 2,
                              "a dead letter for each")

    def heal(self):
        """Mended by the next change of the product, as a shop would do it; one of them is removed instead."""
        for product_id in self.ids[:-1]:
            made = content.stored_product(product_id, 1)
            self.world.corner.products.replace_one({"_id": product_id}, {**made, "version": Int64(2)}, upsert=True)
        self.world.corner.products.delete_one({"_id": self.ids[-1]})
