"""A rehearsal cluster: the Kubernetes API over HTTPS, with controllers and Argo CD's reconciliation, in one process.

What it does not rehearse: containers are never executed and probes pass at once; there is one node, one user and no
RBAC decision; load is not simulated, so an autoscaler only keeps its bounds and metrics are half of the requests; CRDs
cannot be added; Argo CD reads plain directories (no Helm, Kustomize, Jsonnet, hooks, several sources), its waves are an
order without waiting, and a pod that is deleted is gone at once. `tests/contract/base/kubernetes` holds the rest
against what the real servers answered.
"""
