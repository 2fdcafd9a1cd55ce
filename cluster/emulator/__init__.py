"""A cluster on this machine: real processes, their ports, their state directory, their ends.

No daemon: the files and the locks that live processes hold are all there is. Importing this package loads nothing; the
commands use `cluster.emulator.cluster`.
"""
