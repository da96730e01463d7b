"""What a model is shown of its tools, and in which form it is asked to answer."""
