"""The gateway that speaks plain HTTP with JSON: services, keys and queues for curl and for programs in any language."""
