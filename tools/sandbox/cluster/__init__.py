"""A rehearsal cluster: the Kubernetes API over HTTP, with controllers and Argo CD's reconciliation, in one process."""
