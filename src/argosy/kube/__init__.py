"""The only door to Kubernetes. Knows no product word."""
