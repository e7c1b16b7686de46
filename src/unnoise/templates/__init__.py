"""Pages, as Jinja templates."""
