"""What may follow a command line, and the completion files for bash, zsh and fish that are made of it."""
