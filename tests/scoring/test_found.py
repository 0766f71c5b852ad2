"""Pictures wait for one another, but never with so many threads that nobody else is answered."""

import threading
from concurrent.futures import ThreadPoolExecutor

from app.problems import Problem
from app.scoring.found import PNG, as_picture


def test_beyond_a_few_that_wait_a_picture_is_refused_for_now() -> None:
    go, refused = threading.Event(), threading.Semaphore(0)

    def picture() -> object:
        try:
            return as_picture(lambda: b"drawn" if go.wait(30) else b"", PNG).body
        except Problem as problem:
            refused.release()
            return problem.status, problem.headers

    with ThreadPoolExecutor(10) as pool:
        asked = [pool.submit(picture) for _ in range(10)]
        assert all(refused.acquire(timeout=30) for _ in range(2))
        go.set()
        found = [one.result() for one in asked]
    assert found.count(b"drawn") == 8
    assert found.count((503, {"Retry-After": "1"})) == 2
