"""Many files: their order, their journal, and the processes and machines that treat them."""
