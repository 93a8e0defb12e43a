"""The backward rules of AttnLRP (Achtibat et al. 2024), under which gradient times input is relevance."""
