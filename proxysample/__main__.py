"""``python -m proxysample``: the command line."""

from proxysample.cli import main

if __name__ == "__main__":
    main()
