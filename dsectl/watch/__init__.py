"""`watch`: the cluster on one screen, as its nodes report it."""
