"""What only this project's own tables need: goals, margins, test families, critical differences, diagnosis."""
