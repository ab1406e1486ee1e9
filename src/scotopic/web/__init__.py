"""The page that does the work on the phone itself: served locally, or written as static files."""
