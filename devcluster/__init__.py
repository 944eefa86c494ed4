"""Real Kubernetes clusters on a plain Linux machine, for the demo and the tests.

A cluster is one *supervisor* process in network, mount and PID namespaces of its own, which keeps
etcd, the API server, kubelet and the others running as plain processes; whatever it starts dies
with it. A bridge on the host joins the clusters, and carries an OCI registry and a Git server that
they share. ``python -m devcluster --help`` is the face for people, :mod:`devcluster.cluster` the
one for tests.

The modules, from the ground up: ``cache``, ``build`` and ``debian`` get programs onto the machine;
``state`` says what a cluster is, ``processes`` (with ``supervisor``) what runs, ``net`` how it is
joined; ``certs``, ``controlplane`` and ``node`` configure Kubernetes, ``services`` what is shared;
``oci`` and ``images`` make container images; ``cluster`` puts them together.
"""
