"""Load: operations offered to a cluster on a schedule, their latencies, and an account of what was acknowledged."""
