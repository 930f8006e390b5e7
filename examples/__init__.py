"""Things to try: a demonstration with generated pages, and job files for a real export."""
