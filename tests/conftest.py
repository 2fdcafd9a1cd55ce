"""Settings that every test shares: how Hypothesis looks for examples."""

from hypothesis import settings

# No deadline: a busy machine must not fail a correct test. The printed blob replays a failure seen elsewhere. Examples
# stay random, so that each run looks at something new; the blob is what makes a find repeatable.
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=False)
settings.load_profile("ci")
