"""Views: what a surrogate sees instead of the image."""
