"""Files and folders: states, locks, what is made on the way and taken away again."""
