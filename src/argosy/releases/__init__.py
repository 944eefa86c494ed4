"""Argo CD versions as data: importing, verifying, unpacking, and the index of known versions."""
