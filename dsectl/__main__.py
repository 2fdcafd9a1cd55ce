"""`python -m dsectl` is `dsectl`."""

from dsectl.cli.app import main

if __name__ == "__main__":
    main()
