"""`python -m dsectl` is `dsectl`."""

from dsectl.app import main

if __name__ == "__main__":
    main()
