"""What is seen from outside of a call that has ended: the log's line, metrics, traces, and callbacks."""

from gateway.telemetry.logs import configure_logging as configure_logging
