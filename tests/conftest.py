"""Settings that every test shares: how Hypothesis looks for examples, and that SIGINT interrupts."""

import signal

from hypothesis import settings

# No deadline: a busy machine must not fail a correct test. The printed blob replays a failure seen elsewhere. Examples
# stay random, so that each run looks at something new; the blob is what makes a find repeatable.
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=False)
settings.load_profile("ci")

# A shell starts what it puts in the background with SIGINT ignored, and children inherit that. Some tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
