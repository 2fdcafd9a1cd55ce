"""Calls of one node to others, and what they show about who answers."""
