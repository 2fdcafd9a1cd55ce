"""Recipes: Markdown files that teach, and whose blocks of steps run as tests on clusters of their own."""
