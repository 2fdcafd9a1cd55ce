"""`watch`: the cluster as its nodes tell it, again and again, on one screen."""
