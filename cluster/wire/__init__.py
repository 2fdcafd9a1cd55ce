"""Frames, messages and the handshake: bytes in, values out; no sockets."""
