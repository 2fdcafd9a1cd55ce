"""The demo: a cluster that lives through a crash under load, told step by step and judged at the end."""
