"""`top`: services and their operations on one screen, as the nodes count them."""
