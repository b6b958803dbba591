"""Work that goes on beside a test's own thread, and what became of it."""
import threading

from .wait import eventually


class Background:
    """Calls `work(n)`, n = 0, 1, 2…, until the block ends, `pause` seconds apart. `count`: the calls that are done.

    An error ends the work and is raised in the test's thread: by progress(), or at the end of the block. After one that
    it `endures` (types) the same call is made again."""

    def __init__(self, work, pause=0.003, endures=()):
        self.work, self.pause, self.endures = work, pause, endures
        self.count, self.endured, self.error, self.over = 0, None, None, threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        self.over.set()
        self.thread.join(60)
        if kind is None:
            assert not self.thread.is_alive(), "the work beside the test does not end"
            self._raise()

    def _run(self):
        while not self.over.is_set():
            try:
                self.work(self.count)
                self.count += 1
            except self.endures as e:
                self.endured = e
            except Exception as e:  # the test's thread raises it
                self.error = e
                return
            self.over.wait(self.pause)

    def _raise(self):
        if self.error is not None:
            raise RuntimeError(f"the work beside the test ended after {self.count} times: {self.error!r}") from self.error

    def progress(self, more, deadline=60):
        """Waits until the work was done `more` times from now on."""
        wanted = self.count + more

        def there():
            self._raise()
            assert self.count >= wanted, f"{self.count} of {wanted}, endured last: {self.endured!r}"
            return True

        eventually(there, deadline, f"{more} times more of the work beside the test")
