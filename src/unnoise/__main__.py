"""`python -m unnoise`: the command line."""

from unnoise.cli import main

main()
