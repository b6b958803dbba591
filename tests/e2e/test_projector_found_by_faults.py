"""Defects that the fault suite (tests/faults) has found, each with its directed test."""
from bson import Int64
from harness.shop import add_category, insert, jobs, letters, state


def test_category_rows_that_could_not_be_deleted_take_no_newer_ones_along(corner, program, write_api, checker, eventually):
    """The job of a row is stored, but the row stays because the fence is held; another change comes to stand beside it."""
    projector = program("projector", {"mysql.timeout": "2s"}).start()
    add_category(corner, 1, "", "One")
    add_category(corner, 2, "", "Two")
    insert(corner, range(20), categories=[Int64(1)], primary_category_id=Int64(1))
    insert(corner, range(20, 40), categories=[Int64(2)], primary_category_id=Int64(2))
    checker.assert_equal(30, at_least=40)
    eventually(checker.queue_is_drained, 20)
    before = jobs(corner).count_documents({"type": "fanout"})
    with corner.stack.mysql(corner.name) as other, other.cursor() as cursor:
        other.begin()
        cursor.execute("SELECT epoch FROM projector_fence WHERE id = 1 FOR UPDATE")
        corner.sql("UPDATE categories SET name='One renamed' WHERE id=1")
        eventually(lambda: jobs(corner).count_documents({"type": "fanout"}) > before, 20, "the job of the first change")
        corner.sql("UPDATE categories SET name='Two renamed' WHERE id=2")
        eventually(lambda: "event=queue.failed" in projector.log(), 30, "it has tried again, with both rows")
        other.rollback()
    eventually(checker.queue_is_drained, 30)
    checker.assert_equal(30, at_least=40)


def test_the_letter_of_a_product_whose_end_was_missed_goes_with_the_next_full_scan(corner, projector, checker, eventually):
    """It is neither among the products nor in the index, so that no walk over them meets it."""
    insert(corner, range(10))
    corner.products.insert_one({"_id": "bad", "name": 17})
    eventually(lambda: letters(corner).find_one({"_id": "bad"}), 30, "the dead letter")
    projector.stop()
    corner.products.delete_one({"_id": "bad"})
    state(corner).delete_one({"_id": "checkpoint:stream"})
    projector.start()
    checker.assert_equal(30, at_least=10)
    eventually(lambda: letters(corner).count_documents({}) == 0, 30, "the letter is gone")
