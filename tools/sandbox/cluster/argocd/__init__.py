"""Argo CD's application controller, over plain directories of manifests in git; statuses and messages as Argo CD 3.2's."""
