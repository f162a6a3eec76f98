"""Reference pages and catalogues, made from the code."""
