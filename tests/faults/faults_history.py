"""Faults of MongoDB and of what the projector remembers: step-down, lost and damaged positions, a rebuilt collection."""
import pymongo
import pymongo.errors
import requests
from faults import Fault, register
from harness.wait import eventually
from world import PROJECTORS

JUNK_BYTES = 1 << 20


@register
class StepDown(Fault):
    """The primary becomes a secondary for some seconds: writes are refused, and the set elects it again."""

    kind = "step-down"

    def __init__(self, world, spec):
        super().__init__(world, spec)
        self.stepped = False

    def needs(self):
        return {"mongodb"}

    def _hello(self):
        return self.world.stack.mongo.admin.command("hello", read_preference=pymongo.ReadPreference.NEAREST)

    def inject(self):
        began = self._election()
        try:
            self.world.stack.mongo.admin.command("replSetStepDown", max(int(self.seconds), 1), force=True)
        except pymongo.errors.AutoReconnect:
            pass  # it may close the connection that told it
        self.stepped = began

    def _election(self):
        answer = self.world.stack.mongo.admin.command("replSetGetStatus", read_preference=pymongo.ReadPreference.NEAREST)
        return answer["term"]

    def bite(self):
        eventually(lambda: self._election() > self.stepped, 30, "a new term after the step-down", pause=0.2)

    def healed(self):
        eventually(lambda: self._hello()["isWritablePrimary"], 30, "a primary again", pause=0.2)


class WithoutProjectors(Fault):
    """What happens while no projector runs. Both are killed, so that nothing is written down at their end."""

    def needs(self):
        return {"mongodb", "projectors"}

    def inject(self):
        for name in PROJECTORS:
            self.world.programs[name].kill()
        self.world.pause(self.seconds / 2)
        self.spoil()

    def spoil(self):
        raise NotImplementedError

    def heal(self):
        for name in PROJECTORS:
            if self.world.programs[name].process is None:
                self.world.start(name)

    def healed(self):
        """The next owner makes a full scan; nothing else brings the index up to date."""
        jobs = self.world.projector_state("projector_jobs")
        self.world.eventually(lambda: jobs.count_documents({"type": "scan"}) > self.scans, 90, "a full scan begins")

    def count_scans(self):
        self.scans = self.world.projector_state("projector_jobs").count_documents({"type": "scan"})


@register
class OplogTruncated(WithoutProjectors):
    """So much is written by others that the oplog no longer reaches back to the stored position."""

    kind = "oplog-truncated"

    def spoil(self):
        self.count_scans()
        self.passed = self._end(-1)
        self.junk = self.world.stack.mongo["faults_junk"]["junk"]
        self.world.eventually(self._is_cut, 120, "the oplog begins after the position", pause=0.01)
        self.junk.drop()

    def _is_cut(self):
        """Inserts, because an update logs no more than what changes. MongoDB cuts in the background, when more is written,
        and not what it would need after a crash: what came after its last checkpoint, made every READSIDE_MONGODB_SYNC_SECONDS."""
        self.junk.insert_many([{"bytes": bytes(JUNK_BYTES)} for _ in range(8)])
        return self._end(1) > self.passed

    def _end(self, order):
        oplog = self.world.stack.mongo.local["oplog.rs"]
        try:
            return oplog.find_one(sort=[("$natural", order)], projection={"ts": 1})["ts"]
        except pymongo.errors.OperationFailure as e:
            raise AssertionError("cut away while it was read") from e

    def bite(self):
        assert self._end(1) > self.passed


@register
class CheckpointLost(WithoutProjectors):
    """The stored position is deleted, or its token damaged."""

    kind = "checkpoint-lost"

    def spoil(self):
        self.count_scans()
        state = self.world.stack.mongo[self.world.corner.name]["projector_state"]
        if self.args["how"] == "deleted":
            self.changed = state.delete_one({"_id": "checkpoint:stream"}).deleted_count
        else:
            damage = {"$set": {"token": {"_data": "8263nonsense"}}, "$unset": {"start_at": ""}}
            self.changed = state.update_one({"_id": "checkpoint:stream"}, damage).modified_count

    def bite(self):
        assert self.changed == 1, "there was no checkpoint to lose"


@register
class CollectionRestored(Fault):
    """The products are dropped and put back from a copy, under the eyes of the projector."""

    kind = "collection-restored"

    def needs(self):
        return {"mongodb"}

    def inject(self):
        products = self.world.corner.products
        self.copy = list(products.find())
        self.indexes = [one for one in products.index_information().items() if one[0] != "_id_"]
        self.scans = self.world.projector_state("projector_jobs").count_documents({"type": "scan"})
        self.dropped = False
        products.drop()
        self.dropped = True

    def bite(self):
        assert self.dropped and self.copy

    def heal(self):
        if not getattr(self, "copy", None):
            return
        products = self.world.corner.products
        for name, index in self.indexes:
            options = {k: v for k, v in index.items() if k not in ("key", "v", "ns")}
            products.create_index(index["key"], name=name, **options)
        try:
            products.insert_many(self.copy, ordered=False)
        except pymongo.errors.BulkWriteError as e:
            if any(one["code"] != 11000 for one in e.details["writeErrors"]):
                raise  # only what writers have put there meanwhile may be in the way
        self.copy = None

    def healed(self):
        jobs = self.world.projector_state("projector_jobs")
        self.world.eventually(lambda: jobs.count_documents({"type": "scan"}) > self.scans, 90, "a full scan begins")
        confirm_waiting(self.world)


def confirm_waiting(world):
    """A sweep that would remove more than half waits for a person's word: it is given. Returns how many."""
    waiting = [one["_id"] for one in world.projector_state("projector_jobs").find({"state": "waiting"}, {"_id": 1})]
    for job in waiting:
        owner = world.programs[world.owner()]
        requests.post(f"{owner.url}/v1/jobs/{requests.utils.quote(job, safe='')}:confirm", timeout=20)
    return len(waiting)

