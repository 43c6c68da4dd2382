"""What the fork server does once, for its workers need not: it loads torch, and reads the code that a study runs."""

from functools import partial
from pathlib import Path

from faults import jobs, writes  # noqa: F401, workers write

from chromae.records import fingerprint

fingerprint.of(partial(jobs.studied, Path()))
