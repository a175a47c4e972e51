"""How fast and how small lowlevel is, beside aiohttp's low-level server in one and the same run.

``python -m benchmarks`` (or ``make bench``) is the way in. It is a measurement, never a test: a
number that misses its target does not fail anything, an answer that is wrong does.
"""
