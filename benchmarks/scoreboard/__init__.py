"""What only this project's own tables need: goals, test families, critical differences, the diagnosis of a ranking."""
