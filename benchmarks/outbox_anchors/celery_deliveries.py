"""Webhooks as Celery tasks. `python celery_deliveries.py enqueue COUNT URL`, and as the app of `celery worker`.

The broker is Redis at BROKER_URL; no results are kept; each worker process keeps its connections alive.
"""

# mypy: disable-error-code="import-not-found,untyped-decorator,misc,no-untyped-call"
from __future__ import annotations

import os
import sys
import time

import requests
from celery import Celery
from delivery import BODY, signed_headers

app = Celery("deliveries", broker=os.environ["BROKER_URL"])
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)
session = requests.Session()
session.trust_env = False


@app.task(name="deliver")
def deliver(url: str, body: str) -> None:
    session.post(url, data=body.encode(), headers=signed_headers(body), timeout=15).raise_for_status()


def main(count: int, url: str) -> None:
    """Prints the CPU seconds spent on it."""
    spent = time.process_time()
    for _ in range(count):
        deliver.delay(url, BODY)
    print(time.process_time() - spent)


if __name__ == "__main__":
    main(int(sys.argv[2]), sys.argv[3])
