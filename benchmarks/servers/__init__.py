"""The servers that are measured, one program each: ``python -m benchmarks.servers.NAME``."""
