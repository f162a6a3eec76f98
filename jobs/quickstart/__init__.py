"""The quickstart's own little world: drawn shapes, and tiny networks that tell them apart."""
