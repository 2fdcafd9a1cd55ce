"""The state of a cluster, observed and judged once for all who show it."""
