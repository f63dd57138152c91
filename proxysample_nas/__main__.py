"""``python -m proxysample_nas``: the command line."""

from proxysample_nas.cli import main

if __name__ == "__main__":
    main()
