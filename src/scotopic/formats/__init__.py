"""Pictures as bytes: one module for each format, and the table of them all."""
