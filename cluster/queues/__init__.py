"""Work queues: leaderless, at least once, ordered by nothing, lost never."""
