"""The quickstart's own little world: drawn shapes, and how its networks are trained."""
