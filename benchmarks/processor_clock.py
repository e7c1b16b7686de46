"""Imported before `unnoise`, it makes trainings count processor seconds: for a machine that others use too.

The package's clocks are bound when it is imported.
"""

import time

time.monotonic = time.perf_counter = time.process_time
