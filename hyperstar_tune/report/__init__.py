"""What a run or a comparison leaves for a person to look at: summaries, and figures drawn from plain data."""
