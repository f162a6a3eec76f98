"""What people look at after a run: tables, a page, plots, pictures."""
