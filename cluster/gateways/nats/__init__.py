"""NATS clients onto topics and services: subjects, queue groups, requests."""
