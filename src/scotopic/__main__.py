"""`python -m scotopic`."""

from scotopic.cli import main

main()
