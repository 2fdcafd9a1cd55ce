"""The Python API: a blocking client for one-shot commands, and an asyncio one. `cluster.connect` opens either."""
