"""One thread in every test process.

The suite runs one process per core. Two threads each would wait for one another at the end of
every operation, and a training step of small tensors would take a hundred times as long.
"""

from __future__ import annotations

import os

# Read when torch and scikit-learn are imported, here and in the processes that tests start.
os.environ["OMP_NUM_THREADS"] = "1"
