"""What is left for a person to look at: the summary of a run, and figures drawn from plain data."""
