"""Writers: any exhibit as Markdown, LaTeX, HTML or CSV."""
