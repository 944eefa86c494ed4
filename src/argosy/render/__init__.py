"""From an Instance to the objects of its Argo CD. Pure: no cluster, no clock, no environment."""
