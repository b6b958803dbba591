"""Waiting on conditions, never on the clock alone."""
import time

SOON, PATIENCE = 20.0, 90.0


def patience(deadline):
    """A short deadline is a promise of the programs; a longer one says "in time", and a busy machine has more of that."""
    return deadline if deadline < SOON else max(deadline, PATIENCE)


def eventually(check, deadline=30.0, what=None, pause=0.05):
    """Calls check() until it returns something true, and returns that. An assertion or a refused connection inside
    check() counts as "not yet". Fails with the last reason once `deadline` seconds have passed (patience)."""
    deadline = patience(deadline)
    end = time.monotonic() + deadline
    reason = "it was false"
    while True:
        try:
            result = check()
            if result:
                return result
            reason = f"it was {result!r}"
        except (AssertionError, OSError) as e:
            reason = f"{type(e).__name__}: {e}"
        if time.monotonic() >= end:
            raise AssertionError(f"{what or getattr(check, '__name__', 'condition')}: not within {deadline} s; {reason}")
        time.sleep(pause)
