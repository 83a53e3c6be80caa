"""`python -m nexus` is `nexus`."""

from nexus.cli.entry import main

if __name__ == "__main__":
    main()
