"""The token heat map: regions, entropies and weights of each token, as a page or in a terminal."""
