"""What users write, and the words in which Argosy answers."""
