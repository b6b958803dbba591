"""Any of the three programs dies at any moment of a load: afterwards the index equals the databases."""
import pytest
from harness.load import Load, load_categories
from harness.shop import SURE_LEASE

PRODUCTS = 20000
KILLS = 5


def plan(rng):
    """[(progress, programs)]: each program dies at least once, and all of them together once."""
    victims = [["projector"], ["write-api"], ["query-api"], ["projector", "write-api", "query-api"],
               rng.sample(["projector", "write-api", "query-api"], rng.randint(1, 3))]
    rng.shuffle(victims)
    moments = sorted(rng.uniform(0.02, 0.97) for _ in range(KILLS))
    return list(zip(moments, victims))


@pytest.mark.timeout(900)
def test_killed_five_times_during_a_load(program, catalogue, checker, eventually, rng):
    programs = {"write-api": program("write-api").start(), "projector": program("projector", SURE_LEASE).start(),
                "query-api": program("query-api").start()}
    folder = catalogue(PRODUCTS, seed=rng.randrange(1, 1000))
    load_categories(programs["write-api"], folder / "categories.ndjson")
    load = Load(programs["write-api"], folder, rng)
    load.start()
    try:
        for moment, victims in plan(rng):
            eventually(lambda m=moment: load.progress >= m or load.error, 600, f"the load reaches {moment:.0%}", pause=0.002)
            load.given_up.wait(rng.uniform(0, 0.3))  # else it would always be the moment after an answer
            print(f"kill -9 at {load.progress:.1%}: {', '.join(victims)}")
            for name in victims:
                programs[name].kill()
            for name in victims:
                programs[name].start(wait="port")
        load.finish(600)
    finally:
        load.given_up.set()
    print(f"{load.resent} pieces sent again, {len(load.deleted)} products deleted")
    assert load.progress == 1 and len(load.deleted) > 0

    for one in programs.values():
        one.wait_for("/readyz", 120)
    count = checker.assert_equal(180)
    # A piece that was sent again after its answer was lost may have brought a deleted product back.
    assert PRODUCTS - len(load.deleted) <= count <= PRODUCTS
    eventually(checker.queue_is_drained, 30, "the projection queue is empty")
